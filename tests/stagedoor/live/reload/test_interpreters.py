"""Which Python runs a function."""

import asyncio
import sys
from pathlib import Path

import pytest

from stagedoor.live.interpreters import EnvironmentMissing, python_for
from stagedoor.synth.dependencies import Environment
from tests.stagedoor.live.reload.conftest import write


def environment(folder: Path) -> None:
    write(folder, {"pyvenv.cfg": ""})
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)


def found(root: Path, repository: Path, asked: list[Path] | None = None) -> Path:
    def install(folder: Path) -> Environment:
        (asked if asked is not None else []).append(folder)
        return Environment(variables={"VIRTUAL_ENV": str(repository / "made")})

    return asyncio.run(python_for(root, repository, "python3.9", install)).program


def test_the_nearest_environment_or_lock_file_decides(tmp_path: Path):
    environment(tmp_path / ".venv")
    environment(tmp_path / "made")
    write(tmp_path, {"api/handler.py": "", "job/requirements.txt": "requests\n", "job/inner/handler.py": ""})
    asked: list[Path] = []
    assert found(tmp_path / "api", tmp_path) == tmp_path / ".venv/bin/python"
    assert found(tmp_path / "job/inner", tmp_path, asked) == tmp_path / "made/bin/python"
    assert asked == [tmp_path / "job"]


def test_an_environment_that_its_tool_has_not_made_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path, {"api/poetry.lock": "", "tools/poetry": "#!/bin/sh\nexit 1\n"})
    (tmp_path / "tools/poetry").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "tools"), prepend=":")
    with pytest.raises(EnvironmentMissing, match="poetry install"):
        found(tmp_path / "api", tmp_path)


def test_another_version_than_lambdas_is_said(tmp_path: Path):
    async def ask():
        return await python_for(tmp_path, tmp_path, "python3.9", lambda folder: Environment())

    interpreter = asyncio.run(ask())
    if interpreter.version != "3.9":
        assert interpreter.note == f"It runs on Python {interpreter.version} here, and on Python 3.9 in Lambda."
