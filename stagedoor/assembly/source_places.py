"""Where in the app's own code its constructs were made, from the stack traces that aws-cdk-lib writes.

`aws:cdk:creationStack` holds frames such as `new Shop (/app/lib/shop.ts:12:5)`, the innermost first, with the library's
own left out. An app in Python has no frames of its own there: jsii's kernel sees only itself.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from stagedoor.assembly.schema import MetadataEntry
from stagedoor.errors import Location

_CREATION_STACK = "aws:cdk:creationStack"
_LOGICAL_ID = "aws:cdk:logicalId"
_FRAME = re.compile(r"\(?(?:file://)?(?P<path>/[^()\n]{1,1000}):(?P<line>\d{1,7}):(?P<column>\d{1,7})\)?$")
_FRAMES = 50
_NOT_THEIRS = frozenset({"node_modules", "site-packages"})


def source_places(metadata: Mapping[str, list[MetadataEntry]], root: Path | None) -> dict[str, Location]:
    """Return the place in the repository at `root` where each resource was asked for, by logical id.

    What lies outside of it, or is not there, is left out: the text is the app's own, and is shown to others.
    """
    if root is None:
        return {}
    found: dict[str, Location] = {}
    for entries in metadata.values():
        frames = [frame for entry in entries if entry.type == _CREATION_STACK for frame in _texts(entry.data)]
        place = next((place for frame in frames[:_FRAMES] if (place := _place(frame, root))), None)
        ids = [entry.data for entry in entries if entry.type == _LOGICAL_ID and isinstance(entry.data, str)]
        if place:
            found.update(dict.fromkeys(ids, place))
    return found


def _texts(data: object) -> Iterable[str]:
    return [frame for frame in data if isinstance(frame, str)] if isinstance(data, list) else []


def _place(frame: str, root: Path) -> Location | None:
    match = _FRAME.search(frame)
    if match is None:
        return None
    path = Path(os.path.realpath(match["path"]))
    if not path.is_relative_to(root) or _NOT_THEIRS & set(path.parts) or not path.is_file():
        return None
    return Location(path.relative_to(root).as_posix(), int(match["line"]), int(match["column"]))
