"""No terminal: a line for each thing that ends, which a log keeps as it is."""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

from stagedoor.cli.failure import Failure
from stagedoor.cli.progress import WAITING, words_for
from stagedoor.cli.screen import STOPPING, Ending, Screen, write
from stagedoor.cli.words import plain, seconds_text
from stagedoor.events import Event, EventKind


class LineScreen(Screen):
    """Writes lines to stderr and the outputs to stdout."""

    def __init__(self, *, verbose: bool) -> None:
        super().__init__()
        self._verbose = verbose

    def heading(self, text: str) -> None:
        """Write it."""
        _say(text)

    def show(self, event: Event) -> None:
        """Write what ended, and after how many seconds from the start."""
        self.progress.take(event, time.monotonic())
        if event.kind is EventKind.LOG and not event.status and not self._verbose:  # one with a status is our own
            return
        if line := line_of(event):
            _say(f"{self.seconds:6.1f} s  {line}")

    def stopping(self) -> None:
        """Write it past all buffers."""
        with suppress(BrokenPipeError):
            os.write(2, f"{STOPPING}\n".encode())

    def end(self, ending: Ending) -> None:
        """Write the outputs, and how it went."""
        write_outputs(ending.outputs)
        for line in (ending.sentence, *ending.more):
            _say(line)

    def fail(self, failure: Failure) -> None:
        """Write the error: what, remedy, place and what helps to see why."""
        _say(failure.text)


def write_outputs(outputs: Mapping[str, Mapping[str, str]]) -> None:
    """Write outputs to stdout, a line each: `stack.output = value`."""
    for stack, values in outputs.items():
        for name, value in values.items():
            write(sys.stdout, f"{stack}.{name} = {value}\n")


def line_of(event: Event) -> str:
    """Return the line for an event; empty for one that only says that something goes on."""
    took = f"  {seconds_text(event.seconds)}" if event.seconds is not None else ""
    match event.kind:
        case EventKind.WARNING:
            line = f"warning: {event.subject}: {event.message}" if event.subject else f"warning: {event.message}"
        case EventKind.LOG:
            line = f"{event.subject} | {plain(event.message)}"
        case EventKind.STACK:
            joined = f", {event.message}" if event.message.startswith("waiting for ") else ""
            line = f"stack {event.subject}: {words_for(event.status)}{joined}{took}"
            line = f"{line} {event.message}" if event.status == WAITING else line
        case EventKind.RESOURCE:
            why = f": {event.message}" if event.status.endswith("FAILED") and event.message else ""
            line = f"{event.subject}: {words_for(event.status)}{took}{why}"
            line = "" if event.status.endswith("_IN_PROGRESS") else line
        case EventKind.ASSET:
            line = "" if event.status == "uploading" else f"{event.subject}: {event.status}{took}"
        case EventKind.PHASE:
            line = f"{event.subject}: {event.status}{took}"
    return line


def _say(text: str) -> None:
    write(sys.stderr, text + "\n")
