"""Where the command line keeps what it can make again: dependencies of apps, and tracebacks of its own errors."""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WORK = "deploy-"


def cache_dir() -> Path:
    """Return this person's cache: `STAGEDOOR_CACHE_DIR`, else where the platform has such things.

    Sources: https://specifications.freedesktop.org/basedir-spec/latest/ and Apple's File System Programming Guide.
    """
    if chosen := os.environ.get("STAGEDOOR_CACHE_DIR"):
        return Path(chosen).absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "stagedoor"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stagedoor"


@contextmanager
def work_folder() -> Iterator[Path]:
    """Make a folder in the cache for one deploy, gone when it ends, and take away those of deploys that were killed.

    A folder is in use as long as a process holds its lock, which the kernel gives back however the process ends.
    """
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "deploys.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # nobody else looks between making a folder and locking it
        for left in cache.glob(f"{_WORK}*"):
            if left.is_dir() and not _in_use(left):
                shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=_WORK, dir=cache))
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _in_use(folder: Path) -> bool:
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(place)
    return False
