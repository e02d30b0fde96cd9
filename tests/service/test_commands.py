"""How `stagedoor serve` and `stagedoor worker` begin and end."""

import os
import subprocess
import sys

import pytest

from service.commands import _prepare
from service.settings import Settings

NEEDED = {
    "STAGEDOOR_GITHUB_APP_ID": "1",
    "STAGEDOOR_GITHUB_PRIVATE_KEY": "a key",
    "STAGEDOOR_GITHUB_WEBHOOK_SECRETS": "a-secret-of-the-tests",
}


@pytest.fixture
def service(tmp_path, monkeypatch):
    """The environment of a service, whose worker's other machine is another folder."""
    environment = NEEDED | {
        "STAGEDOOR_DATA_DIR": str(tmp_path / "web"),
        "STAGEDOOR_DATABASE_URL": f"sqlite:///{tmp_path}/shared.sqlite",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


def worker(environment):
    command = [sys.executable, "-m", "stagedoor.cli", "worker", "--processes=0"]
    return subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def test_a_worker_that_sees_another_blob_store_says_so(service, tmp_path):
    _prepare(Settings())
    elsewhere = worker(service | {"STAGEDOOR_DATA_DIR": str(tmp_path / "worker")})
    _, said = elsewhere.communicate(timeout=30)
    assert elsewhere.returncode != 0
    assert b"STAGEDOOR_BLOB_URL" in said
    assert b"Traceback" not in said


def test_a_worker_that_is_first_waits_for_the_service(service):
    first = worker(service)
    assert any(b"waiting" in line for line in first.stderr)
    _prepare(Settings())
    assert any(b"pulse: behind" in line for line in first.stderr)
    first.terminate()
    _, said = first.communicate(timeout=30)
    assert b"Traceback" not in said


def test_a_server_that_is_told_to_stop_has_done_its_work(service):
    command = [sys.executable, "-m", "stagedoor.cli", "serve", "--workers=0", "--port=0"]
    server = subprocess.Popen(command, env=os.environ | service, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    for line in server.stderr:
        if b"Uvicorn running" in line:
            break
    server.terminate()
    _, said = server.communicate(timeout=30)
    assert server.returncode == 0
    assert b"Traceback" not in said
