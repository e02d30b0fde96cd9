"""Ctrl-C: once to stop at a safe point, twice to leave at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

from stagedoor.deploy.clients import Clients
from stagedoor.errors import Cancelled

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Takes Ctrl-C (and SIGTERM, as a CI runner sends it) while it is entered.

    The first is remembered, and `check` raises `Cancelled` where the work may stop; `asked` runs in the signal handler
    and must do no more than set a flag or write to a descriptor. The second raises `KeyboardInterrupt` wherever the
    work is.
    """

    def __init__(self, asked: Callable[[], None]) -> None:
        self._tell = asked
        self._asked = False
        self._anywhere = False
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before = [signal.signal(number, self._handle) for number in _SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise `Cancelled` if the work is to stop."""
        if self._asked:
            raise Cancelled

    @contextmanager
    def anywhere(self) -> Iterator[None]:
        """Let the first Ctrl-C, too, stop the work wherever it is: nothing in AWS is changed meanwhile."""
        self.check()
        self._anywhere = True
        try:
            yield
        finally:
            self._anywhere = False

    def check_while_waiting(self, clients: Clients) -> None:
        """Check before each look at a stack's events as well: a slow resource says nothing for minutes."""
        clients.cloudformation.meta.events.register(
            "before-call.cloudformation.DescribeStackEvents", lambda **_: self.check()
        )

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
        if self._anywhere:
            raise Cancelled
        self._tell()
