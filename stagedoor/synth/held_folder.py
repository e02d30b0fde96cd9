"""A folder that a process has to itself for as long as it lives, however it ends."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def held_folder(parent: Path, prefix: str, turn: str) -> Iterator[Path]:
    """Make a folder in `parent`, gone at the end, and take away those with this prefix whose processes were killed.

    A folder is in use as long as a process holds its lock, which the kernel gives back however the process ends. `turn`
    is the name of the file whose lock makes one process at a time do this.
    """
    parent.mkdir(parents=True, exist_ok=True)
    with (parent / turn).open("w") as entering:
        fcntl.flock(entering, fcntl.LOCK_EX)  # nobody else looks between making a folder and locking it
        for left in parent.glob(f"{prefix}*"):
            with suppress(OSError):
                os.close(_hold(left))
                shutil.rmtree(left, ignore_errors=True)
        own = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        held = _hold(own)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)
        os.close(held)


def _hold(folder: Path) -> int:
    """Lock a folder for as long as this process lives; raises `BlockingIOError` where another one has it."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held
