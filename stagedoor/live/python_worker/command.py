"""How a Python worker is started, and where its awslambdaric comes from.

One that is in the app's own environment is used. Else it is fetched once for each version of Python into the cache, by uv.
"""

import asyncio
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from stagedoor.errors import UserError
from stagedoor.live.functions import LiveFunction, WorkerCommand
from stagedoor.synth.dependencies import find_uv

_PROGRAM = Path(__file__).with_name("worker_main.py")
_STAND_IN = Path(__file__).with_name("stand_in")

_LOOK = """
import importlib.util as find, json, sys
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "client": find.find_spec("awslambdaric") is not None,
    "native": find.find_spec("runtime_client") is not None,
}))
"""


class RuntimeClientMissing(UserError):
    """AWS's runtime client for Python could not be had for an interpreter."""

    id = "runtime-client-missing"


@dataclass(frozen=True, slots=True)
class _Interpreter:
    version: str
    folders: tuple[Path, ...]


class PythonCommands:
    """Says how workers of Python functions are started; looks at each interpreter once."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._known: dict[Path, asyncio.Task[_Interpreter]] = {}

    async def __call__(self, function: LiveFunction) -> WorkerCommand:
        """Return the command for a worker. Raises `RuntimeClientMissing`."""
        if function.interpreter not in self._known:
            self._known[function.interpreter] = asyncio.create_task(self._look_at(function.interpreter))
        try:
            interpreter = await asyncio.shield(self._known[function.interpreter])
        except UserError:
            del self._known[function.interpreter]
            raise
        first = [str(function.root)]
        for layer in function.layers:
            first += [
                str(layer / "python" / "lib" / f"python{interpreter.version}" / "site-packages"),
                str(layer / "python"),
            ]
        settings = {"first": first, "last": [str(folder) for folder in interpreter.folders]}
        return WorkerCommand((str(function.interpreter), str(_PROGRAM)), {"STAGEDOOR_WORKER": json.dumps(settings)})

    async def _look_at(self, interpreter: Path) -> _Interpreter:
        status, printed = await _run(str(interpreter), "-c", _LOOK)
        if status:
            raise RuntimeClientMissing(
                f"{interpreter} cannot be run.", "Make the app's environment anew.", detail=printed
            )
        found = json.loads(printed.splitlines()[-1])
        version = found["version"]
        if found["client"]:
            return _Interpreter(version, () if found["native"] else (_STAND_IN,))
        folder = self._cache / "live" / f"awslambdaric-{version}"
        if not folder.is_dir():
            await _fetch(interpreter, version, folder)
        native = any(folder.glob("runtime_client*.so"))
        return _Interpreter(version, (folder,) if native else (_STAND_IN, folder))


async def _fetch(interpreter: Path, version: str, folder: Path) -> None:
    uv = find_uv()
    if uv is None:
        raise RuntimeClientMissing(
            "uv is not there to fetch awslambdaric with.", "Install uv, or awslambdaric in the app's own environment."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    status, printed = await _run(
        str(uv),
        "pip",
        "install",
        "--quiet",
        "--python",
        str(interpreter),
        "--target",
        str(made),
        "--only-binary",
        ":all:",
        "awslambdaric",
    )
    if status:
        shutil.rmtree(made, ignore_errors=True)
        raise RuntimeClientMissing(
            f"awslambdaric could not be installed for Python {version}.",
            "See what uv says below; or install awslambdaric in the app's own environment.",
            detail=printed,
        )
    try:
        made.rename(folder)
    except OSError:  # another agent was first
        shutil.rmtree(made, ignore_errors=True)


async def _run(*argv: str) -> tuple[int, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode(errors="replace")
