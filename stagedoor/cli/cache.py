"""Where the command line keeps what it can make again: dependencies of apps, and tracebacks of its own errors."""

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from stagedoor.synth.held_folder import held_folder


def cache_dir() -> Path:
    """Return this person's cache: `STAGEDOOR_CACHE_DIR`, else where the platform has such things.

    Sources: https://specifications.freedesktop.org/basedir-spec/latest/ and Apple's File System Programming Guide.
    """
    if chosen := os.environ.get("STAGEDOOR_CACHE_DIR"):
        return Path(chosen).absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "stagedoor"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stagedoor"


def work_folder() -> AbstractContextManager[Path]:
    """Make a folder in the cache for one deploy, gone when it ends, and take away those of deploys that were killed."""
    return held_folder(cache_dir(), "deploy-", "deploys.lock")
