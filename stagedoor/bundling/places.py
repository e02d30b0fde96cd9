"""Where things are for a construct: the repository of its app, and the cache of who runs `cdk synth`."""

import os
import sys
from pathlib import Path, PurePosixPath

APP_FOLDER = "STAGEDOOR_APP_FOLDER"
"""Variable by which Stagedoor tells an app's program where its folder is in the repository: `services/api`, `.`."""


def repository_of(app_dir: Path) -> Path:
    """Return the root of the app's repository.

    It is what Stagedoor says, else the nearest folder with a `.git`, else the nearest with a `uv.lock`, else the app's.
    """
    told = os.environ.get(APP_FOLDER)
    if told:
        depth = len(PurePosixPath(told).parts)
        return app_dir.parents[depth - 1] if depth else app_dir
    above = (app_dir, *app_dir.parents)
    return next((folder for name in (".git", "uv.lock") for folder in above if (folder / name).exists()), app_dir)


def cache_folder() -> Path:
    """Return where packages are kept that `cdk synth` installs: `bundles` in the cache of the command line."""
    if chosen := os.environ.get("STAGEDOOR_CACHE_DIR"):
        return Path(chosen).absolute() / "bundles"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "stagedoor" / "bundles"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stagedoor" / "bundles"
