"""Errors that a person can cause and cure.

The CLI, the pull request's comment and the console print the same words, so they are written here as data: an id that
can be searched for, one sentence on what went wrong, one on what to do. Errors of our own are ordinary exceptions and
keep their traceback.
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a file of the app's repository; `path` is relative to its root, `line` and `column` count from 1."""

    path: str
    line: int = 1
    column: int = 1


class UserError(Exception):
    """Something that the person who wrote the app, the configuration or the command can put right.

    A subclass for each kind of mistake sets `id`, lower-case words joined by hyphens, never reused.
    `detail` is longer text that helps (the last lines of a traceback); it may hold anything that the app printed and
    is redacted by whoever shows it.
    """

    id: ClassVar[str] = "user-error"

    def __init__(self, what: str, remedy: str, *, detail: str = "", location: Location | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.detail = detail
        self.location = location

    def __str__(self) -> str:
        return f"{self.what} {self.remedy}"


class TargetUnusable(UserError):
    """What keeps us out of a target's account, or from deploying into it: its operator can put it right, and no app."""

    id = "target-unusable"


class LeaseLost(Exception):
    """This process no longer holds the stage: another has taken over, and nothing more may be changed."""


class Cancelled(Exception):
    """Whoever wanted this work done no longer does; it stopped at a point from which the next run can go on."""
