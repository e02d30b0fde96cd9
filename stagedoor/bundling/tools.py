"""The programs that bundles and environments are made with."""

import shutil
import sys
from pathlib import Path


def find_uv() -> Path | None:
    """Return uv's program: beside this Python, in this checkout's own tools, or on the path."""
    for folder in (Path(sys.executable).parent, Path(__file__).parents[2] / ".stagedoor" / "uv" / "bin"):
        if (folder / "uv").is_file():
            return folder / "uv"
    found = shutil.which("uv")
    return Path(found).resolve() if found else None


def base_python() -> Path:
    """Return the interpreter that environments are made with: ours, outside of our own environment."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return Path(shutil.which(name, path=f"{sys.base_prefix}/bin") or sys.executable)
