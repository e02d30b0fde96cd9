"""Complete a bundle at once, in an app's program that nobody will complete it for: under `cdk synth`."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stagedoor.bundling.completing import complete
from stagedoor.bundling.installing import Store
from stagedoor.bundling.wanted import Wanted

_KEPT_SECONDS = 30 * 24 * 3600
"""How long a whole bundle is kept that is not used."""


def completed(bundle: Path, wanted: Wanted, root: Path, cache: Path) -> Path:
    """Return the folder of a whole bundle, made of one that is not, with the tools that are on the `PATH`.

    Packages are installed once, below `cache`. Raises `UserError`s: `BundlingFailed`, `WrongArchitecture`,
    `BundleTooLarge`.
    """
    whole = cache / "whole" / bundle.name
    # What esbuild makes of a file depends on all that it imports: it is asked each time, which takes no time.
    if whole.is_dir() and wanted.kind == "python":
        whole.touch()
        return whole
    whole.parent.mkdir(parents=True, exist_ok=True)
    _take_away_unused(whole.parent)
    passing = Path(tempfile.mkdtemp(dir=whole.parent))
    try:
        shutil.copytree(bundle, passing, dirs_exist_ok=True)
        complete(passing, wanted, root, Store(cache / "packages", cache, _run, _say))
        passing.chmod(0o755)
        shutil.rmtree(whole, ignore_errors=True)
        passing.rename(whole)
    except BaseException:
        shutil.rmtree(passing, ignore_errors=True)
        raise
    return whole


def _take_away_unused(folder: Path) -> None:
    for entry in folder.iterdir():
        if time.time() - entry.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(entry, ignore_errors=True)


def _run(*argv: str, cwd: Path, env: dict[str, str] | None = None, **_limits: object) -> tuple[int, str]:
    """Run a command as it is, without limits: what a person runs `cdk synth` on is their own."""
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    except FileNotFoundError:
        return 127, f"{argv[0]} is not installed here."
    return done.returncode, done.stdout.decode(errors="replace")


def _say(status: str, message: str) -> None:
    if status != "hit":
        sys.stderr.write(f"stagedoor: {message}\n")
