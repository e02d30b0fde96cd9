"""Where in the app's own code an error happened, read from what its program printed."""

import re
from collections.abc import Iterable
from pathlib import Path

from stagedoor.errors import Location

_PYTHON = re.compile(r'^\s*File "(?P<path>[^"]+)", line (?P<line>\d+)')
_V8 = re.compile(r"^\s+at (?:.*\()?(?:file://)?(?P<path>/[^:()]+):(?P<line>\d+):(?P<column>\d+)\)?$")
_COMPILER = re.compile(r"^(?P<path>[^\s:(]+\.[cm]?[jt]sx?)[:(](?P<line>\d+)[:,](?P<column>\d+)\b")
_NOT_THEIRS = {"node_modules", "site-packages", ".venv"}


def location_in(printed: Iterable[str], app_dir: Path, root: Path) -> Location | None:
    """Return the place nearest to the error among those that lie in the repository's own code.

    Python prints the innermost frame last, V8 first; TypeScript's compiler and its kin print `file:line:column` or
    `file(line,column)`, the first being the one to mend first.
    """
    python: Location | None = None
    for text in printed:
        if (match := _PYTHON.match(text)) and (place := _own(match, app_dir, root)):
            python = place
        for pattern in (_V8, _COMPILER):
            if (match := pattern.match(text)) and (place := _own(match, app_dir, root)):
                return place
    return python


def _own(match: re.Match[str], app_dir: Path, root: Path) -> Location | None:
    path = (app_dir / match["path"]).resolve()
    if not path.is_relative_to(root) or _NOT_THEIRS & set(path.parts) or not path.is_file():
        return None
    return Location(str(path.relative_to(root)), int(match["line"]), int(match.groupdict().get("column") or 1))
