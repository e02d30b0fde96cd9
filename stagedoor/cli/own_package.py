"""How a project that `stagedoor init` makes gets the Stagedoor that made it.

One that was installed from an index is named with its version. One that was installed from a folder, a repository or a
wheel's file is on no index: its wheel goes into the project's `vendor/` folder, to be committed with it.
Source: https://packaging.python.org/en/latest/specifications/direct-url/.
"""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from stagedoor import __version__
from stagedoor.bundling.tools import find_uv
from stagedoor.errors import UserError

VENDOR = "vendor"
_CHECKOUT = Path(__file__).parents[2]


class NoWheel(UserError):
    """Stagedoor's own wheel, which the project is to hold, could not be made."""

    id = "no-wheel"


@dataclass(frozen=True, slots=True)
class OwnPackage:
    """What a project writes to depend on this Stagedoor; `wheel` is a file of `vendor/`, where it needs one."""

    requirement: str
    wheel: str | None = None

    @property
    def sources(self) -> str:
        """What `pyproject.toml` says of where it is; empty for an index."""
        path = f"{VENDOR}/{self.wheel}"
        return f'\n[tool.uv.sources]\nstagedoor = {{ path = "{path}" }}\n' if self.wheel else ""


def put_own_package(project: Path) -> OwnPackage:
    """Return how a project depends on this Stagedoor; where need be its wheel is put there. Raises `NoWheel`."""
    origin = _origin()
    if origin is None:
        return OwnPackage(f"stagedoor=={__version__}")
    wheel = _wheel(origin, project / VENDOR)
    return OwnPackage("stagedoor", wheel.name)


def _origin() -> dict[str, Any] | None:
    """Return where this Stagedoor was installed from, as pip and uv write it down; None for an index."""
    try:
        text = distribution("stagedoor").read_text("direct_url.json")
    except PackageNotFoundError:
        return {"url": _CHECKOUT.as_uri(), "dir_info": {}}
    return json.loads(text) if text else None


def _wheel(origin: dict[str, Any], folder: Path) -> Path:
    """Put the wheel into a folder, built where there is only its source, and return it."""
    there = sorted(folder.glob("stagedoor-*.whl"))
    if there:
        return there[-1]
    url = str(origin["url"])
    place = Path(url2pathname(urlsplit(url).path)) if url.startswith("file:") else None
    with tempfile.TemporaryDirectory(prefix="stagedoor-wheel-") as scratch:
        if "vcs_info" in origin:
            made = _built(_cloned(url, str(origin["vcs_info"]["commit_id"]), Path(scratch, "source")), Path(scratch))
        elif place is not None and place.is_file():
            made = place
        elif place is not None:
            made = _built(place, Path(scratch))
        else:
            raise NoWheel(
                f"This Stagedoor was installed from {url}, of which no wheel is here.",
                "Install it from an index, or from a wheel's file, and run `stagedoor init` again.",
            )
        folder.mkdir(exist_ok=True)
        return Path(shutil.copy(made, folder))


def _built(source: Path, folder: Path) -> Path:
    uv = find_uv()
    if uv is None:
        raise NoWheel("Stagedoor's wheel is built by uv, which is not installed here.", "pip install uv")
    _run([str(uv), "build", "--wheel", "--quiet", "--out-dir", str(folder), str(source)])
    return next(folder.glob("*.whl"))


def _cloned(url: str, commit: str, folder: Path) -> Path:
    _run(["git", "clone", "--quiet", url, str(folder)])
    _run(["git", "-C", str(folder), "checkout", "--quiet", commit])
    return folder


def _run(words: list[str]) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        said, failed = done.stderr, done.returncode != 0
    except OSError as problem:
        said, failed = str(problem), True
    if failed:
        raise NoWheel(
            "Stagedoor's own wheel could not be built.",
            "What it says is below; see that the network is up.",
            detail=said,
        )
