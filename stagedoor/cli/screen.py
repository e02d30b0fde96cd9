"""What a command shows while it works, and how it closes.

Progress, warnings and errors go to stderr; the result goes to stdout, so that it can be piped. The screens are a
terminal (`live_screen.py`), plain lines (`line_screen.py`) and JSON lines (`json_screen.py`).
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TextIO

from stagedoor.cli.failure import Failure
from stagedoor.cli.progress import Progress
from stagedoor.events import Event

STOPPING = "Stopping at a safe point. Ctrl-C again leaves at once."


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command closes when it did what it was asked: a sentence and further ones, outputs by stack, and data."""

    sentence: str
    more: tuple[str, ...] = ()
    outputs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


def write(stream: TextIO, text: str) -> None:
    """Write at once. Where nobody reads any more (`| head`), nothing is written from then on: the work itself goes on,
    as a deploy that nobody looks at is better than half a one.
    """
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class Screen(ABC):
    """Where a command shows what it does. It is entered while the work goes on, and drawn for the last time on leaving.

    `progress` is what is known of the work, whether it is drawn or not.
    """

    def __init__(self) -> None:
        self.progress = Progress()
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    @property
    def seconds(self) -> float:
        """How long the command has been at work."""
        return time.monotonic() - self._began

    @abstractmethod
    def heading(self, text: str) -> None:
        """Say what the command is about."""

    @abstractmethod
    def show(self, event: Event) -> None:
        """Show an event."""

    @abstractmethod
    def stopping(self) -> None:
        """Say that the work will stop. Runs in a signal handler, so it takes no lock and writes to no buffer."""

    @abstractmethod
    def end(self, ending: Ending) -> None:
        """Close well."""

    @abstractmethod
    def fail(self, failure: Failure) -> None:
        """Close with an error."""
