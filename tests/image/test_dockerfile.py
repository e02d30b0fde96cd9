"""The Dockerfile, as far as it can be tested without building it: `make image-check` builds it."""

import fnmatch
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from service import health
from service.commands import _prepare
from service.settings import Settings

TREE = Path(__file__).resolve().parents[2]
DOCKERFILE = re.sub(r"\\\n\s*", "", (TREE / "Dockerfile").read_text())
INSTRUCTIONS = [line.split(None, 1) for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
SETTINGS = {
    "STAGEDOOR_GITHUB_APP_ID": "1",
    "STAGEDOOR_GITHUB_PRIVATE_KEY": "a key",
    "STAGEDOOR_GITHUB_WEBHOOK_SECRETS": "a-secret-of-the-tests",
    "STAGEDOOR_HOST": "127.0.0.1",
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def said(instruction):
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def environment():
    """The variables of the stage that runs."""
    _, front = DOCKERFILE.split(" AS front")
    pairs = [shlex.split(line[4:]) for line in front.splitlines() if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in pairs for pair in line)


def test_bases_are_pinned_by_digest():
    bases = dict(each.split("=", 1) for each in said("ARG"))
    assert set(bases) == {"PYTHON_IMAGE", "NODE_IMAGE"}
    assert all(re.search(r":[\w.-]+@sha256:[0-9a-f]{64}\Z", base) for base in bases.values())
    stages = {each.split(" AS ")[1] for each in said("FROM")}
    assert all(each.split()[0] in {"${PYTHON_IMAGE}", "${NODE_IMAGE}", *stages} for each in said("FROM"))


def test_what_is_copied_is_there_and_reaches_the_build():
    ignore = (TREE / ".dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in ignore if line.startswith("!")]
    sources = [word for each in said("COPY") if "--from" not in each for word in each.split()[:-1]]
    assert sources
    for source in sources:
        assert (TREE / source).exists(), source
        assert any(source == each or fnmatch.fnmatch(source, f"{each}/*") for each in let_in), source


def test_it_ends_as_somebody_else_than_root():
    assert said("USER")[-1] == "10001:10001"


def test_uv_is_the_one_of_the_makefile():
    version = re.search(r"UV_VERSION := (\S+)", (TREE / "Makefile").read_text())
    assert version
    assert f"uv=={version[1]} " in (TREE / "infra/image/uv.txt").read_text()


def test_every_command_of_the_image_is_a_command():
    named = {each.name for each in entry_points(group="stagedoor.commands")}
    commands = {each.strip('[]"') for each in said("CMD")}
    assert commands <= named
    assert {"web", "relay", "worker", "all"} <= named


@pytest.fixture
def read_only(tmp_path):
    """A command prefix under which only `tmp_path` can be written."""
    script = f'mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro / && exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine grants no user namespaces")
    assert subprocess.run([*prefix, "touch", "/here"], check=False, capture_output=True).returncode
    return prefix


@pytest.mark.parametrize(
    "command", [["web", f"--port={free_port()}"], ["worker", "--processes=1"]], ids=["web", "worker"]
)
def test_a_role_runs_on_a_read_only_root_without_our_environment(read_only, tmp_path, command, monkeypatch):
    paths = {"STAGEDOOR_DATA_DIR": "data", "STAGEDOOR_HEALTH_DIR": "health", "HOME": "data", "TMPDIR": "scratch"}
    (tmp_path / "scratch").mkdir()
    places = {name: str(tmp_path / folder) for name, folder in paths.items()}
    program = f"{Path(sys.executable).parent}:{os.defpath}"
    told = {**environment(), **SETTINGS, **places, "PATH": program}
    if command[0] == "worker":
        for name, value in {**SETTINGS, **places}.items():
            monkeypatch.setenv(name, value)
        _prepare(Settings())
    process = subprocess.Popen([*read_only, "stagedoor", *command], env=told, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while wrong := health.sick(tmp_path / "health", time.time()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, wrong
            time.sleep(0.1)
        process.terminate()
        process.communicate(timeout=15)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()
