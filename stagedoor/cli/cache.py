"""Where the command line keeps what it can make again: dependencies of apps, and tracebacks of its own errors."""

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """Return this person's cache: `STAGEDOOR_CACHE_DIR`, else where the platform has such things.

    Sources: https://specifications.freedesktop.org/basedir-spec/latest/ and Apple's File System Programming Guide.
    """
    if chosen := os.environ.get("STAGEDOOR_CACHE_DIR"):
        return Path(chosen).absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "stagedoor"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stagedoor"
