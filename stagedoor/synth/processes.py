"""The processes below one of ours, read from `/proc`: who they are, what memory they hold, how to end all of them.

Where there is no `/proc` (macOS) they cannot be seen, and only the process group can be ended.
Standard library only, and what loads at once: the launcher imports it. Source of the format: proc_pid_statm(5),
proc_tid_children(5).
"""

import os
import signal

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ROUNDS = 50


def descendants(pid: int) -> list[int]:
    """Return the pids of all processes below `pid`, parents first; one that is ending may be missing."""
    found: list[int] = []
    queue = [pid]
    while queue:
        tasks = f"/proc/{queue.pop()}/task"
        for task in _listed(tasks):
            children = [int(child) for child in _text(f"{tasks}/{task}/children").split()]
            found += children
            queue += children
    return found


def private_bytes(pid: int) -> int:
    """Return the memory that a process has for itself: resident pages less those backed by files or shared."""
    fields = _text(f"/proc/{pid}/statm").split()
    return max(0, int(fields[1]) - int(fields[2])) * _PAGE if fields else 0


def kill_descendants(pid: int) -> None:
    """End every process below `pid`. They are stopped first, so that none can start another meanwhile."""
    for _ in range(_ROUNDS):
        living = [child for child in descendants(pid) if not _is_dead(child)]
        if not living:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for child in living:
                try:
                    os.kill(child, number)
                except OSError:  # it has ended
                    continue


def _is_dead(pid: int) -> bool:
    return _text(f"/proc/{pid}/stat").rpartition(") ")[2][:1] in ("", "Z", "X")


def _text(file: str) -> str:
    try:
        with open(file) as reading:
            return reading.read()
    except OSError:
        return ""


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
