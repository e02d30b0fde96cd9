"""Why a command failed, as it is told: the same words on a terminal, in plain lines and as JSON."""

import secrets
import traceback
from dataclasses import dataclass
from typing import Any

from stagedoor.cli.cache import cache_dir
from stagedoor.cli.words import plain
from stagedoor.errors import Cancelled, Location, UserError

USER_ERROR = 1
OUR_ERROR = 3
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed command: what went wrong, what to do, what helps to see why, and the exit code."""

    id: str
    what: str
    remedy: str
    code: int
    detail: str = ""
    location: Location | None = None

    @property
    def place(self) -> str:
        """Where in the app's repository it is, as editors understand it: `path:line:column`."""
        at = self.location
        return f"{at.path}:{at.line}:{at.column}" if at else ""

    @property
    def interrupted(self) -> bool:
        """Whether it is no failure, but what the person at the keyboard wanted."""
        return self.code == INTERRUPTED

    @property
    def text(self) -> str:
        """The whole of it as plain text, without the colours and controls that an app's output may hold."""
        head = [f"Error: {self.what}", self.remedy, f"at {self.place}" if self.place else ""]
        detail = ["", plain(self.detail)] if self.detail else []
        return "\n".join([line for line in head if line] + detail)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        at = self.location
        place = {"path": at.path, "line": at.line, "column": at.column} if at else None
        return {"id": self.id, "what": self.what, "remedy": self.remedy, "detail": self.detail, "location": place}


def failure_of(error: BaseException, *, going_on: str = "") -> Failure:
    """Return how an error is told. `going_on` says what an interrupted command leaves behind it.

    An error of our own is written, with its traceback, to a file in the cache that its text names.
    """
    # Looked up here, since only a command that spoke to AWS has paid for importing its SDK.
    from stagedoor.deploy.access import as_user_error

    told = error if isinstance(error, UserError) else as_user_error(error)
    if told is not None:
        return Failure(told.id, told.what, told.remedy, USER_ERROR, told.detail, told.location)
    if isinstance(error, Cancelled | KeyboardInterrupt):
        return Failure("interrupted", "Interrupted.", going_on, INTERRUPTED)
    reference = secrets.token_hex(4)
    file = cache_dir() / "errors" / f"{reference}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    return Failure(
        "internal-error",
        f"Stagedoor itself failed: {type(error).__name__} (reference {reference}).",
        f"Its traceback is in {file}; please open an issue with it.",
        OUR_ERROR,
    )
