"""Errors that a person can put right: the shape of `stagedoor.errors.UserError`, without importing it."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """A place in a file of the repository; `path` is relative to its root, lines and columns count from 1."""

    path: str
    line: int = 1
    column: int = 1


class Refused(Exception):
    """What went wrong, in one sentence, and what to do; `id` as in docs, never reused. `detail` is longer text."""

    def __init__(self, id: str, what: str, remedy: str, *, detail: str = "", place: Place | None = None) -> None:
        super().__init__(what)
        self.id = id
        self.what = what
        self.remedy = remedy
        self.detail = detail
        self.place = place

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}".strip()

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Refused:
        """Return what the service or the engine said: an object with `id`, `what`, `remedy`, `detail`, `location`."""
        found = said.get("location")
        place = None
        if isinstance(found, Mapping) and found.get("path"):
            place = Place(str(found["path"]), _count(found.get("line")), _count(found.get("column")))
        what = str(said.get("what") or said.get("title") or "It failed.")
        remedy = str(said.get("remedy") or "")
        return cls(str(said.get("id") or "failed"), what, remedy, detail=str(said.get("detail") or ""), place=place)


class Cancelled(BaseException):
    """The workflow's run was cancelled: the runner sends SIGINT, then SIGTERM after 7.5 s, and kills 2.5 s later.

    It may be raised in the middle of anything, and must pass through whatever handles errors there.
    """


CANCELLATIONS = (signal.SIGINT, signal.SIGTERM)
"""The signals by which the runner says so."""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 1
