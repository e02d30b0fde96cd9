"""A terminal: a tree that is drawn anew as things happen, then the outputs as a table."""

import sys
import threading
import time
from collections.abc import Mapping
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stagedoor.cli.failure import Failure
from stagedoor.cli.line_screen import write_outputs
from stagedoor.cli.picture import PLAIN_SIGNS, Signs, picture
from stagedoor.cli.screen import STOPPING, Ending, Screen
from stagedoor.cli.words import seconds_text
from stagedoor.events import Event, EventKind


class LiveScreen(Screen):
    """Draws on stderr, which is a terminal; the outputs go to stdout, wherever that is."""

    def __init__(self, console: Console, *, verbose: bool) -> None:
        super().__init__()
        self._console = console
        self._verbose = verbose
        self._signs = Signs() if console.encoding.lower().startswith("utf") else PLAIN_SIGNS
        self._lock = threading.RLock()  # the tree is drawn by a thread of its own
        self._stopping = False
        self._live = Live(get_renderable=self._picture, console=console, refresh_per_second=10)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = False
        self._live.stop()

    def heading(self, text: str) -> None:
        """Print it in bold."""
        self._console.print(Text(text, "bold"))

    def show(self, event: Event) -> None:
        """Take it into the tree; print what the app prints above it, where that is wanted."""
        with self._lock:
            self.progress.take(event, time.monotonic())
        if self._verbose and event.kind is EventKind.LOG:
            line = Text.assemble((f"{event.subject}  ", "cyan"), Text.from_ansi(event.message))
            self._console.print(line, style="dim")

    def stopping(self) -> None:
        """Let the next drawing say so."""
        self._stopping = True

    def end(self, ending: Ending) -> None:
        """Print warnings, outputs and the closing sentence."""
        self._warnings()
        if ending.outputs:
            self._console.print()
            _print_outputs(ending.outputs)
        self._console.print()
        self._console.print(Text.assemble((ending.sentence, "bold"), (f"  {seconds_text(self.seconds)}", "dim")))
        for line in ending.more:
            self._console.print(Text(line))

    def fail(self, failure: Failure) -> None:
        """Print warnings, then the error: what, remedy, place and what helps to see why."""
        self._warnings()
        self._console.print()
        style = "bold yellow" if failure.interrupted else "bold red"
        self._console.print(Text(f"{self._signs.failed} {failure.what}", style))
        if failure.remedy:
            self._console.print(Text(failure.remedy))
        if failure.place:
            self._console.print(Text.assemble("at ", (failure.place, "cyan")))
        if failure.detail:
            self._console.print()
            self._console.print(Text.from_ansi(failure.detail), style="dim")

    def _picture(self) -> RenderableType:
        with self._lock:
            return picture(self.progress, time.monotonic(), self._signs, STOPPING if self._stopping else "")

    def _warnings(self) -> None:
        if self.progress.warnings:
            self._console.print()
        for event in self.progress.warnings:
            place = f"{event.subject}: " if event.subject else ""
            self._console.print(Text.assemble((f"{self._signs.warning} {place}", "yellow"), event.message))


def _print_outputs(outputs: Mapping[str, Mapping[str, str]]) -> None:
    if not sys.stdout.isatty():
        write_outputs(outputs)
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in ("stack", "output", "value"):
        table.add_column(column, overflow="fold")
    for stack, values in outputs.items():
        for index, (name, value) in enumerate(values.items()):
            table.add_row(stack if index == 0 else "", name, Text(value, "cyan"))
    Console(highlight=False).print(table)
