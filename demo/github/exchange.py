"""One HTTP request to the local GitHub, and its answer."""

import base64
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    query: str
    headers: Any
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        return dict(json.loads(self.body or b"{}"))

    def parameter(self, name: str) -> str | None:
        """Return a parameter of the query."""
        return parse_qs(self.query).get(name, [None])[0]

    @property
    def token(self) -> str:
        """The token that the request carries, whichever way."""
        kind, _, value = (self.headers.get("Authorization") or "").partition(" ")
        if kind.lower() == "basic":
            return base64.b64decode(value).decode().rpartition(":")[2]
        return str(value.strip())


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = json_answer(status, {"message": message, "documentation_url": "https://docs.github.com/rest"})


def json_answer(status: int, value: object) -> Answer:
    """Return an answer whose body is `value` as JSON."""
    return Answer(status, json.dumps(value).encode(), [("Content-Type", "application/json; charset=utf-8")])
