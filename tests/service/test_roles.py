"""The front door's two halves as processes of their own: what each answers, how it says that it lives, how it ends."""

import http.client
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from service import health
from service.commands import _check_confinement, _prepare, _with_own_address
from service.database import SchemaState, make_engine, schema_state
from service.pulse import CONNECTED
from service.settings import Settings, SettingsInvalid
from stagedoor.synth.confinement import Granted
from tests.service.test_commands import NEEDED


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """The environment of all roles, on one machine."""
    made = NEEDED | {"STAGEDOOR_DATA_DIR": str(tmp_path / "data"), "STAGEDOOR_HEALTH_DIR": str(tmp_path / "health")}
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    return made


@contextmanager
def running(environment, *command):
    """Start a role, and yield the process, the address that it answers at and what it has said so far."""
    arguments = [sys.executable, "-m", "stagedoor.cli", *command]
    process = subprocess.Popen(arguments, env=os.environ | environment, stderr=subprocess.PIPE, text=True)
    said = []
    try:
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"Uvicorn running on http://([\d.:]+)", line):
                yield process, found[1], said
                break
        else:
            raise AssertionError(f"it ended with {process.wait()}")
    finally:
        process.kill()
        process.communicate()


def status(address, path, method="GET"):
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_web_has_no_tunnels_and_ends_when_told(environment):
    with running(environment, "web", "--port=0") as (process, address, _said):
        assert status(address, "/readyz") == 200
        assert status(address, "/webhooks/github", "POST") in (400, 401, 403)
        assert status(address, "/live/token", "POST") == 404
        process.terminate()
        process.communicate(timeout=10)
        assert process.returncode == 0


def test_a_relay_has_tunnels_alone_and_drains_when_told(environment):
    _prepare(Settings())
    with running(environment, "relay", "--port=0") as (process, address, beginning):
        assert status(address, "/healthz") == status(address, "/readyz") == 200
        assert status(address, "/live/token", "POST") == 400
        assert status(address, "/webhooks/github", "POST") == status(address, "/metrics") == 404
        process.terminate()
        said = beginning + process.communicate(timeout=10)[1].splitlines()
        assert process.returncode == 0
    lines = [json.loads(line) for line in said if line.startswith("{")]
    assert "drained" in [line["event"] for line in lines]
    # What infra/'s metric filter on the log counts.
    (pulse,) = [line for line in lines if line["event"] == CONNECTED]
    assert pulse["sessions"] == pulse["under_way"] == 0


def test_a_database_of_a_newer_version_is_refused_by_every_role(environment, tmp_path):
    _prepare(Settings())
    with sqlite3.connect(tmp_path / "data" / "stagedoor.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = 'f00d'")
    for role in ("serve", "relay", "worker"):
        command = [sys.executable, "-m", "stagedoor.cli", role]
        ended = subprocess.run(
            command, env=os.environ | environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert ended.returncode == 1
        assert "newer version of Stagedoor" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_what_a_version_makes_of_a_database(environment, tmp_path):
    engine = make_engine(Settings().database)
    assert schema_state(engine) is SchemaState.OLDER  # empty
    _prepare(Settings())
    assert schema_state(engine) is SchemaState.CURRENT
    assert schema_state(make_engine(f"sqlite:///{tmp_path}/data")) is SchemaState.OUT_OF_REACH


def test_the_internal_url_may_leave_the_address_open():
    made = _with_own_address(Settings(internal_url="http://{address}:8000"))
    assert re.fullmatch(r"http://\d+\.\d+\.\d+\.\d+:8000", made.internal_url)
    assert _with_own_address(Settings(internal_url="http://web:8000")).internal_url == "http://web:8000"


def test_a_worker_does_not_start_where_the_kernel_keeps_nothing_apart_and_that_is_required(monkeypatch):
    strict = Settings(synth_confinement="required")
    for granted in (Granted(True, True, 0), Granted(False, False, 4)):
        monkeypatch.setattr("service.commands.find_granted", lambda granted=granted: granted)
        _check_confinement(strict)
    monkeypatch.setattr("service.commands.find_granted", lambda: Granted(True, False, 3))
    _check_confinement(Settings())
    with pytest.raises(SettingsInvalid, match="STAGEDOOR_SYNTH_CONFINEMENT"):
        _check_confinement(strict)


def test_the_health_check_knows_who_is_ill(environment, tmp_path, capsys):
    folder = tmp_path / "health"
    assert health.main() == 1  # nobody has started
    beat = health.Beat(folder, "worker")
    beat.beat()
    assert health.sick(folder, time.time()) == []
    assert "sign of life" in health.sick(folder, time.time() + 60)[0]
    health.answers_at(folder, "web", 1)  # where nobody answers
    assert health.sick(folder, time.time()) == ["web does not answer"]
    assert health.main() == 1
    assert "web does not answer" in capsys.readouterr().out


def test_the_health_check_asks_the_front_door(environment, tmp_path):
    with running(environment, "web", "--port=0") as (_process, address, _said):
        health.answers_at(tmp_path / "health", "web", int(address.rpartition(":")[2]))
        assert health.main() == 0
