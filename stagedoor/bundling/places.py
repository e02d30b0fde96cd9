"""Where things are for a construct: the repository of its app, and the cache of who runs `cdk synth`."""

import os
import sys
from pathlib import Path, PurePosixPath

APP_FOLDER = "STAGEDOOR_APP_FOLDER"
"""Variable by which Stagedoor tells an app's program where its folder is in the repository: `services/api`, `.`."""


def repository_of(app_dir: Path) -> Path:
    """Return the root of the app's repository: as Stagedoor says, else the nearest folder with `.git`, else its own."""
    told = os.environ.get(APP_FOLDER)
    if told:
        depth = len(PurePosixPath(told).parts)
        return app_dir.parents[depth - 1] if depth else app_dir
    return next((folder for folder in (app_dir, *app_dir.parents) if (folder / ".git").exists()), app_dir)


def cache_folder() -> Path:
    """Return where packages are kept that `cdk synth` installs: `bundles` in the cache of the command line."""
    if chosen := os.environ.get("STAGEDOOR_CACHE_DIR"):
        return Path(chosen).absolute() / "bundles"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "stagedoor" / "bundles"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stagedoor" / "bundles"
