"""Workers that a debugger can be attached to: debugpy for Python, Node's own inspector, on ports that stay the same.

Nothing waits for a client: a breakpoint holds as soon as one is there. Ports are on loopback alone; whoever may connect
to one may run code as the person who started the command, so they are open for the functions that were named, only.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from stagedoor.bundling.tools import find_uv
from stagedoor.errors import UserError
from stagedoor.live.functions import WorkerCommand

PYTHON_PORT = 5678
NODE_PORT = 9229
"""The first function's port: those that debugpy and Node use by themselves. Each further function has the next."""

_PROGRAM = Path(__file__).with_name("debugged_worker.py")


class DebuggerMissing(UserError):
    """debugpy could not be had."""

    id = "debugger-missing"


def ports_of(functions: Mapping[str, str], debugged: Iterable[str]) -> dict[str, int]:
    """Return a port for each debugged function; `functions` are all functions' runtimes. The same ones each time."""
    ports: dict[str, int] = {}
    following = {"python": PYTHON_PORT, "nodejs": NODE_PORT}
    for name in sorted(debugged):
        language = "python" if functions[name].startswith("python") else "nodejs"
        ports[name] = following[language]
        following[language] += 1
    return ports


def debugged(command: WorkerCommand, port: int, debugpy: Path | None) -> WorkerCommand:
    """Return the command of a Python worker that listens for a debugger; `debugpy` is a folder that has it."""
    python, *rest = command.argv
    return WorkerCommand((python, str(_PROGRAM), str(port), str(debugpy or ""), *rest), command.environment)


async def find_debugpy(python: Path, version: str, cache: Path) -> Path | None:
    """Return the folder where debugpy is for a Python; None where its own environment has it. Installs it if need be.

    Raises `DebuggerMissing`.
    """
    if (await _run(str(python), "-c", "import debugpy"))[0] == 0:
        return None
    kept = cache / "live" / f"debugpy-{version}"
    if kept.is_dir():
        return kept
    uv = find_uv()
    if uv is None:
        raise DebuggerMissing("uv is not there to install debugpy with.", "Install debugpy in the app's environment.")
    kept.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f"{kept.name}.", dir=kept.parent))
    try:
        quiet = ("pip", "install", "--quiet", "--only-binary", ":all:", "--target", str(made))
        status, printed = await _run(str(uv), *quiet, "--python", str(python), "debugpy")
        if status:
            raise DebuggerMissing(
                f"debugpy could not be installed for Python {version}.",
                "See what uv says below; or install debugpy in the app's environment.",
                detail=printed,
            )
        if not kept.is_dir():  # another agent may have been first
            made.rename(kept)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return kept


async def _run(*argv: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode(errors="replace")
