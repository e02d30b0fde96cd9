"""Waiting for what should become true, and saying what was seen instead when it does not."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
LOOK_SECONDS = 0.2
"""Between two looks. The local GitHub, like the real one, lets a user ask 5,000 times an hour."""


class NotYet(Exception):
    """What was looked for is not there yet; the message is what is there instead."""


class StepFailed(Exception):
    """A step of the story did not come true: what was expected, and what was seen."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")
        self.expected = expected
        self.seen = seen


def expect(true: bool, expected: str, seen: object) -> None:
    """Raise `StepFailed` unless something holds that must hold now."""
    if not true:
        raise StepFailed(expected, str(seen))


def until(
    expected: str,
    look: Callable[[], Found],
    seconds: float,
    *,
    alive: Callable[[], None],
    every: float = LOOK_SECONDS,
) -> Found:
    """Return what `look` returns as soon as it does not raise `NotYet`.

    Raises `StepFailed` after `seconds`, and at once whatever else `look` raises or `alive`, which is asked each time.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return look()
        except NotYet as missing:
            if time.monotonic() > deadline:
                raise StepFailed(f"{expected} within {seconds:.0f} s", str(missing)) from None
        alive()
        time.sleep(every)
