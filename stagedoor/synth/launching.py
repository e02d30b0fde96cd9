"""How a launcher (`launcher.py`), the process between us and a stranger's command, is started, and what it is told."""

import marshal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Spec:
    """What the launcher is told. `ports` are the TCP ports that the command may connect to; None: all of them.

    `namespaces`: processes of its own (it sees and signals nobody else's); `network`: without it, and with
    `namespaces`, there is no network at all. `user` is a uid to become, None to stay. `landlock` limits files to
    `readable` and `writable`. `parent` is the pid without which there is nothing to do. `niceness` is by how much it
    gives way to other processes.
    """

    argv: Sequence[str]
    cwd: str
    env: dict[str, str]
    failures: int
    parent: int
    namespaces: bool
    network: bool
    landlock: bool
    user: int | None
    readable: Sequence[str]
    writable: Sequence[str]
    ports: Sequence[int] | None
    data_bytes: int
    file_bytes: int
    tasks: int | None
    niceness: int = 0


def command_line() -> list[str]:
    """Return the argv that starts a launcher: this interpreter without site packages, environment or user paths."""
    root = str(Path(__file__).resolve().parents[2])
    program = f"import sys; sys.path.insert(0, {root!r}); from stagedoor.synth.launcher import main; main()"
    return [sys.executable, "-I", "-S", "-B", "-c", program]


def dump(spec: Spec) -> bytes:
    """Return a spec as `main` reads it."""
    return marshal.dumps(asdict(spec))
