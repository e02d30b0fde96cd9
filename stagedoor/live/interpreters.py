"""Which Python or Node runs a function here: that of the environment which holds its dependencies.

The nearest folder, from the function's own up to the repository's root, that has an environment or says what belongs
into one, decides. What only says so (`uv.lock`, `requirements.txt`) is installed into the cache, once for each content.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stagedoor.bundling.tools import base_python
from stagedoor.errors import UserError
from stagedoor.synth.dependencies import Environment

Install = Callable[[Path], Environment]
"""Installs what a folder's lock file names; see `stagedoor.synth.dependencies.install`. It may take minutes."""

_IN_PLACE = (".venv", "venv")
_TOOLS = {
    "poetry.lock": ("poetry", "env", "info", "--executable"),
    "Pipfile": ("pipenv", "--py"),
}
"""Whose environments are elsewhere, and what says where."""
_INSTALLED = ("uv.lock", "requirements.txt")
_ASK_VERSION = ("-c", "import sys; print('%d.%d' % sys.version_info[:2])")
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")


class EnvironmentMissing(UserError):
    """A function's dependencies are not installed on this machine, or no program of its runtime is here."""

    id = "environment-missing"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A program that runs functions, its version (`3.12`, `22`), and what is to be known about it, if anything.

    `search` are folders of the repository whose packages it needs and that are not installed.
    """

    program: Path
    version: str
    note: str = ""
    search: tuple[Path, ...] = ()


async def python_for(root: Path, repository: Path, runtime: str, install: Install) -> Interpreter:
    """Return the Python for code in the folder `root`. Raises `EnvironmentMissing` and what `install` raises."""
    found, search = await _python_of(root, repository, install) or (None, ())
    program = found or await _python_named(runtime)
    version = await _said(program, *_ASK_VERSION)
    if not version:
        raise EnvironmentMissing(f"{program} cannot be run.", "Make the virtual environment that it is in anew.")
    return Interpreter(program, version, _note("Python", version, runtime.removeprefix("python")), search)


async def node_for(runtime: str) -> Interpreter:
    """Return this machine's Node. Raises `EnvironmentMissing`."""
    found = shutil.which("node")
    if found is None:
        raise EnvironmentMissing(
            "Node is not installed here.", "Install Node, at the version of the functions' runtime."
        )
    said = await _said(Path(found), "--version")
    version = said.removeprefix("v").partition(".")[0]
    wanted = _VERSION.search(runtime)
    return Interpreter(Path(found), said.removeprefix("v"), _note("Node", version, wanted[1] if wanted else ""))


async def _python_of(root: Path, repository: Path, install: Install) -> tuple[Path | None, tuple[Path, ...]] | None:
    for folder in (root, *root.parents):
        if not folder.is_relative_to(repository):
            return None
        for name in _IN_PLACE:
            if (folder / name / "pyvenv.cfg").is_file() and (folder / name / "bin" / "python").exists():
                return folder / name / "bin" / "python", ()
        for lock, words in _TOOLS.items():
            if (folder / lock).is_file():
                return await _from_tool(folder, *words), ()
        if any((folder / lock).is_file() for lock in _INSTALLED):
            made = await asyncio.to_thread(install, folder)
            python = Path(made.variables["VIRTUAL_ENV"]) / "bin" / "python" if "VIRTUAL_ENV" in made.variables else None
            return python, tuple(map(Path, filter(None, made.variables.get("PYTHONPATH", "").split(os.pathsep))))
    return None


async def _from_tool(folder: Path, tool: str, *words: str) -> Path:
    remedy = f"Run `{tool} install` in {folder}."
    if shutil.which(tool) is None:
        raise EnvironmentMissing(
            f"The dependencies of {folder.name} are {tool}'s, and {tool} is not installed.", remedy
        )
    said = await _said(Path(tool), *words, folder=folder)
    if not said or not Path(said).exists():
        raise EnvironmentMissing(
            f"The dependencies of {folder.name} are {tool}'s, and it has made no environment.", remedy
        )
    return Path(said)


async def _python_named(runtime: str) -> Path:
    """Return a Python without packages: of the runtime's version where there is one, else the one that runs us.

    One that is found may be a switch of pyenv's, with nothing behind it.
    """
    found = shutil.which(runtime)
    return Path(found) if found and await _said(Path(found), *_ASK_VERSION) else base_python()


def _note(language: str, version: str, wanted: str) -> str:
    if version == wanted:
        return ""
    return f"It runs on {language} {version} here, and on {language} {wanted} in Lambda."


async def _said(program: Path, *words: str, folder: Path | None = None) -> str:
    """Return what a program prints, without the space around it; nothing where it fails."""
    process = await asyncio.create_subprocess_exec(
        str(program),
        *words,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    printed, _ = await process.communicate()
    return printed.decode(errors="replace").strip() if process.returncode == 0 else ""
