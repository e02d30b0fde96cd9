"""What the relay keeps of sandboxes, in memory alone: environments with credentials. The newest of each function."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

MOST_OF_A_FUNCTION = 1000
MOST_BYTES = 64 * 1024
"""Of one sandbox's document; Lambda's own limit for an environment is 4 KB, credentials are 2."""


class Sandboxes:
    """Documents by stage, function and sandbox id; old ones of a function make way for new ones."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, str], OrderedDict[str, Mapping[str, Any]]] = {}

    def put(self, stage_id: int, function: str, sandbox: str, document: Mapping[str, Any]) -> None:
        """Keep it."""
        kept = self._kept.setdefault((stage_id, function), OrderedDict())
        kept[sandbox] = document
        kept.move_to_end(sandbox)
        if len(kept) > MOST_OF_A_FUNCTION:
            kept.popitem(last=False)

    def get(self, stage_id: int, function: str, sandbox: str) -> Mapping[str, Any] | None:
        """Return it, where it is here."""
        kept = self._kept.get((stage_id, function))
        return None if kept is None else kept.get(sandbox)

    def newest(self, stage_id: int, function: str) -> str:
        """Return the id of the function's newest sandbox; "" where none is here."""
        kept = self._kept.get((stage_id, function))
        return next(reversed(kept)) if kept else ""
