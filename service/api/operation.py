"""One thing that the API does, declared once: its signature gives the route, the checks and the OpenAPI document.

A view is a function. Of its parameters, `caller` says that somebody has to be logged in, `query` and `body` are
pydantic models (or a `Media`, for a body that is no JSON), the others are ids in the path; what it returns is a model,
or None for 204.
"""

import inspect
import re
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from service.access.errors import NotLoggedIn
from stagedoor.errors import UserError

BASE = "/api/v1"
LARGEST_ID = 2**63 - 1
_ID = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Media:
    """A body or an answer that is not JSON."""

    type: str
    description: str


EVENT_STREAM = Media("text/event-stream", "Server-sent events")
ZIP = Media("application/zip", "An assembly: what synth left in cdk.out, as a ZIP archive")


@dataclass(frozen=True, slots=True)
class Operation:
    """What is known of a view. `answers` are models by status; `problems` the errors that are its own."""

    method: str
    path: str
    view: Callable[..., Any]
    tag: str
    answers: dict[int, type[BaseModel] | Media | None]
    problems: tuple[type[UserError], ...]
    query: type[BaseModel] | None
    body: type[BaseModel] | Media | None
    needs_caller: bool
    by_asyncio: bool

    @property
    def name(self) -> str:
        """Its name for whoever generates a client."""
        return self.view.__name__

    @property
    def path_ids(self) -> list[str]:
        """The names of the ids in the path."""
        return _ID.findall(self.path)

    @property
    def flask_rule(self) -> str:
        """The path as Flask writes it; an id that no database can hold is none."""
        return BASE + _ID.sub(rf"<int(max={LARGEST_ID}):\1>", self.path)

    @property
    def starlette_path(self) -> str:
        """The path as Starlette writes it."""
        return BASE + _ID.sub(r"{\1:int}", self.path)

    @property
    def status(self) -> int:
        """The status of an answer that says none."""
        return min(self.answers)


@dataclass(slots=True)
class Operations:
    """All operations, in the order in which they were declared."""

    all: list[Operation] = field(default_factory=list)

    def declare(
        self,
        method: str,
        path: str,
        *,
        tag: str,
        status: int = 200,
        answers: dict[int, type[BaseModel] | Media | None] | None = None,
        problems: Sequence[type[UserError]] = (),
        body: Media | None = None,
        answer: Media | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return what makes an operation of a view; a coroutine is answered by the front door's asyncio side."""

        def declared(view: Callable[..., Any]) -> Callable[..., Any]:
            hints = typing.get_type_hints(view)
            returned = answer or hints.get("return")
            model = returned if isinstance(returned, Media) or _is_model(returned) else None
            needs_caller = "caller" in hints
            self.all.append(
                Operation(
                    method=method,
                    path=path,
                    view=view,
                    tag=tag,
                    answers=answers or {status if model is not None else 204: model},
                    problems=(*([NotLoggedIn] if needs_caller else []), *problems),
                    query=hints.get("query"),
                    body=body or hints.get("body"),
                    needs_caller=needs_caller,
                    by_asyncio=inspect.iscoroutinefunction(view),
                )
            )
            return view

        return declared


OPERATIONS = Operations()
declare = OPERATIONS.declare


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that says its status itself."""

    model: BaseModel | None
    status: int


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
