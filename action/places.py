"""Where in the repository's own code an error happened: the rules of `stagedoor/synth/places.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from re import Match

from action.refusal import Place

_PYTHON = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+)')
_V8 = re.compile(r"^\s+at (?:.*\()?(?:file://)?(?P<path>/[^:()]+):(?P<line>\d+):(?P<column>\d+)\)?$")
_COMPILER = re.compile(r"^(?P<path>[^\s:(]+\.[cm]?[jt]sx?)[:(](?P<line>\d+)[:,](?P<column>\d+)\b")
_NOT_THEIRS = {"node_modules", "site-packages", ".venv"}


def place_in(printed: Iterable[str], app_dir: Path, root: Path) -> Place | None:
    """Return the place nearest to the error: Python's last, else the first that V8 or a compiler names."""
    python: Place | None = None
    for text in printed:
        match = _PYTHON.match(text)
        if match:
            python = _own(match, app_dir, root) or python
        for pattern in (_V8, _COMPILER):
            match = pattern.match(text)
            place = _own(match, app_dir, root) if match else None
            if place:
                return place
    return python


def _own(match: Match[str], app_dir: Path, root: Path) -> Place | None:
    path = (app_dir / match["path"]).resolve()
    root = root.resolve()
    if root not in path.parents or _NOT_THEIRS & set(path.parts) or not path.is_file():
        return None
    return Place(path.relative_to(root).as_posix(), int(match["line"]), int(match.groupdict().get("column") or 1))
