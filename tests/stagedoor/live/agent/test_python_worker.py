"""Where awslambdaric comes from, and what stands in for its native part where that has no build."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from stagedoor.live.functions import LiveFunction
from stagedoor.live.python_worker.command import InterpreterUnusable, PythonCommands, fetch, look_at
from tests.stagedoor.live.agent.conftest import HANDLERS, PYTHON, Connect

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def without_native(tmp_path: Path) -> Path:
    """A cache as it is made on a system that awslambdaric has no build for."""
    folder = tmp_path / "live" / f"python-{VERSION}"
    asyncio.run(fetch(PYTHON, VERSION, folder, native=False))
    assert not list(folder.glob("runtime_client*"))
    return tmp_path


def test_no_build_of_awslambdaric_is_needed(live: Connect, without_native) -> None:
    """That what stands in for its native part does the same is held by test_fidelity.py."""

    async def scenario() -> None:
        async with live({"f": "fidelity.handler"}) as stage:
            stage.agent._pool._functions["f"]._commands = PythonCommands(without_native)
            assert (await stage.invoke({"do": "echo", "text": "é"})).kind == "response"

    asyncio.run(scenario())


def test_the_apps_own_awslambdaric_is_used(commands_cache, tmp_path) -> None:
    """And what the app's environment has of awslambdaric and boto3 is not fetched."""
    environment = tmp_path / "venv"
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", environment], check=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    (packages / "ours.pth").write_text(str(next(commands_cache.glob("live/python-*"))))
    found = asyncio.run(look_at(environment / "bin" / "python", tmp_path / "cache"))
    assert (found.version, found.last) == (VERSION, ())
    assert not (tmp_path / "cache").exists()


def test_layers_come_after_the_function_and_before_the_rest(commands_cache, tmp_path) -> None:
    function = LiveFunction(
        "f", "plain.handler", "python3.12", HANDLERS, PYTHON, layers=(tmp_path / "a", tmp_path / "b")
    )
    command = asyncio.run(PythonCommands(commands_cache)(function))
    first = json.loads(command.environment["STAGEDOOR_WORKER"])["first"]
    site = f"python/lib/python{VERSION}/site-packages"
    expected = [HANDLERS, *(tmp_path / layer / folder for layer in "ab" for folder in (site, "python"))]
    assert [Path(folder) for folder in first] == expected


def test_an_interpreter_that_cannot_be_run_is_named(tmp_path) -> None:
    with pytest.raises(InterpreterUnusable) as error:
        asyncio.run(look_at(tmp_path / "python", tmp_path))
    assert str(tmp_path / "python") in error.value.what
