"""How a Python worker is started, and where its awslambdaric comes from.

What the app's own environment has is used. What it lacks of awslambdaric and boto3, which Lambda's Python brings along,
is fetched once for each version of Python into the cache, by uv.
"""

import asyncio
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stagedoor.bundling.tools import find_uv
from stagedoor.errors import UserError
from stagedoor.live.functions import LiveFunction, WorkerCommand

_PROGRAM = Path(__file__).with_name("worker_main.py")
_BROUGHT_ALONG = ("awslambdaric", "boto3")

_LOOK = """
import importlib.util, json, sys
there = [name for name in ("awslambdaric", "boto3") if importlib.util.find_spec(name)]
print(json.dumps({"version": "%d.%d" % sys.version_info[:2], "there": there}))
"""


class InterpreterUnusable(UserError):
    """An interpreter cannot run functions: it does not start, or AWS's runtime client could not be had for it."""

    id = "interpreter-unusable"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python: its version, as `3.12`, and the folders that it searches last, which hold what it lacks."""

    version: str
    last: tuple[Path, ...]


class PythonCommands:
    """Says how workers of Python functions are started; looks at each interpreter once."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._known: dict[Path, asyncio.Task[Interpreter]] = {}

    async def __call__(self, function: LiveFunction) -> WorkerCommand:
        """Return the command for a worker. Raises `InterpreterUnusable`."""
        python = function.interpreter
        if python not in self._known:
            self._known[python] = asyncio.create_task(look_at(python, self._cache))
        try:
            interpreter = await asyncio.shield(self._known[python])
        except UserError:
            self._known.pop(python, None)
            raise
        first = [str(function.root)]
        for layer in function.layers:
            own = layer / "python"
            first += [str(own / "lib" / f"python{interpreter.version}" / "site-packages"), str(own)]
        settings = {"first": first, "last": [str(folder) for folder in interpreter.last]}
        return WorkerCommand((str(python), str(_PROGRAM)), {"STAGEDOOR_WORKER": json.dumps(settings)})


async def look_at(python: Path, cache: Path) -> Interpreter:
    """Return what there is to know of an interpreter, with what it lacks fetched. Raises `InterpreterUnusable`."""
    status, printed = await _run(str(python), "-c", _LOOK)
    if status:
        remedy = "Make the app's virtual environment anew."
        raise InterpreterUnusable(f"{python} cannot be run.", remedy, detail=printed)
    found = json.loads(printed.splitlines()[-1])
    there, version = set(found["there"]), str(found["version"])
    if there.issuperset(_BROUGHT_ALONG):
        return Interpreter(version, ())
    folder = cache / "live" / f"python-{version}"
    if not folder.is_dir():
        await fetch(python, version, folder)
    return Interpreter(version, (folder,))


async def fetch(python: Path, version: str, folder: Path, *, native: bool = True) -> None:
    """Install awslambdaric and boto3 into a folder, which is there whole or not at all. Raises `InterpreterUnusable`.

    awslambdaric has builds for Linux alone. Elsewhere its build for Linux is taken without the native part.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        failed = await _install(made, "--python", str(python), *_BROUGHT_ALONG) if native else "not asked for"
        if failed:
            linux = ("--no-deps", "--python-platform", "x86_64-manylinux_2_28", "--python-version", version)
            failed = await _install(made, *linux, "awslambdaric")
            failed = failed or await _install(
                made, "--python", str(python), "simplejson", "snapshot-restore-py", "boto3"
            )
            for unusable in made.glob("runtime_client*.so"):
                unusable.unlink()
        if failed:
            remedy = "Install awslambdaric and boto3 in the app's own environment."
            raise InterpreterUnusable(f"awslambdaric was not to be had for Python {version}.", remedy, detail=failed)
        if not folder.is_dir():  # another agent may have been first
            made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


async def _install(target: Path, *arguments: str) -> str:
    """Install wheels into a folder; return what uv says if it cannot."""
    uv = find_uv()
    if uv is None:
        return "uv is not installed."
    quiet = ("pip", "install", "--quiet", "--only-binary", ":all:", "--target", str(target))
    status, printed = await _run(str(uv), *quiet, *arguments)
    return (printed or f"uv ended with status {status}") if status else ""


async def _run(*argv: str) -> tuple[int, str]:
    """Run a program outside of our own environment's settings; return its status and what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        return 1, str(error)
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode(errors="replace")
