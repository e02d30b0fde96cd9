"""Copies of the sample app (`sample_app/`), and the Python environment that the CDK CLI runs them in."""

import os
import shutil
import subprocess
from pathlib import Path

from bench.peers import ROOT
from stagedoor.bundling.tools import find_uv

APP = Path(__file__).parent / "sample_app"
NOTES = ROOT / "examples" / "notes"
"""The sample app has the example's dependencies and lock file, so both are installed once."""

STACKS = ("ShopData", "ShopWork", "ShopApi")
_HANDLER = Path("functions/orders/handler.py")


def copy_of_the_app(folder: Path) -> Path:
    """Copy the sample app, with its lock file, to a folder that is not there yet; return the folder."""
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns("__pycache__", "cdk.out"))
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(NOTES / name, folder / name)
    return folder


def change_code(app: Path, word: str) -> None:
    """Change the code of one function; nothing else in the app changes."""
    shutil.copy(APP / _HANDLER, app / _HANDLER)
    with (app / _HANDLER).open("a") as handler:
        handler.write(f"\n# {word}\n")


def python_for_the_cdk_cli() -> Path:
    """Return the app's environment as `uv sync` makes it, made when first asked for. Its modules are compiled."""
    made = ROOT / ".stagedoor" / "bench" / "venv"
    uv = find_uv()
    assert uv is not None, "uv is installed by make"
    subprocess.run(
        [str(uv), "sync", "--quiet", "--frozen", "--no-install-project", "--compile-bytecode", "--project", str(NOTES)],
        env={**os.environ, "UV_PROJECT_ENVIRONMENT": str(made)},
        check=True,
    )
    return made
