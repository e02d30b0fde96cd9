"""No process is left behind: the demo becomes the parent of whatever its children leave, and looks at what is below it.

Names and environments prove nothing, as the service's processes hide their environment and start sessions of their own.
Ancestry does: with the mark of prctl(2) an orphan below us becomes our child and not init's. Without `/proc` (macOS)
nothing can be seen, and nothing is claimed.
"""

import ctypes
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from stagedoor.synth.processes import descendants, kill_descendants

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class LeftProcess:
    """A living process that should have ended, and what it was started as."""

    pid: int
    command: str


def adopt_orphans(adopt: bool = True) -> None:
    """Make this process the parent of every orphan below it, from now on; or not any more."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


def left_behind(patience: float = 1.0) -> list[LeftProcess]:
    """Return the living processes below this one; those that end within `patience` seconds are not counted."""
    deadline = time.monotonic() + patience
    while (found := _living()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def end_left_behind() -> None:
    """Kill every process below this one."""
    kill_descendants(os.getpid())


def _living() -> list[LeftProcess]:
    found = (_read(pid) for pid in descendants(os.getpid()))
    return [each for each in found if each is not None]


def _read(pid: int) -> LeftProcess | None:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    return None if state in {"Z", "X"} else LeftProcess(pid, " ".join(words).strip())
