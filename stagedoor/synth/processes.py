"""The processes below one of ours, read from `/proc`: who they are, what memory they hold, how to end all of them.

Where there is no `/proc` (macOS) they cannot be seen, and only the process group can be ended.
Standard library only: the launcher imports it. Source of the format: proc_pid_statm(5), proc_tid_children(5).
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ROUNDS = 50


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below `pid`, parents first; one that is ending may be missing."""
    found: list[int] = []
    queue = [pid]
    while queue:
        for task in _listed(Path(f"/proc/{queue.pop()}/task")):
            with suppress(OSError):
                children = [int(child) for child in (task / "children").read_text().split()]
                found += children
                queue += children
    return found


def private_bytes(pid: int) -> int:
    """Return the memory that a process has for itself: resident pages less those backed by files or shared."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return max(0, int(fields[1]) - int(fields[2])) * _PAGE


def kill_descendants(pid: int) -> None:
    """End every process below `pid`. They are stopped first, so that none can start another meanwhile."""
    for _ in range(_ROUNDS):
        living = [child for child in descendants(pid) if not _is_dead(child)]
        if not living:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for child in living:
                with suppress(OSError):
                    os.kill(child, number)


def _is_dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] in ("Z", "X")
    except OSError:
        return True


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []
