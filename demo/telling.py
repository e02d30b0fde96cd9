"""How the story is shown: a line a step, with its seconds; alive in a terminal, plain without one."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

WIDTH = 74


@dataclass(slots=True)
class Line:
    """One line. Its teller may change `text` and `seconds` while the step goes on; `note` is put after the seconds."""

    number: str
    text: str
    seconds: float | None = None
    note: str = ""


class Teller:
    """Prints lines to standard output. `last` is the line of the step that is under way, or was last."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self.last = Line("", "")

    def say(self, text: str) -> None:
        """Print one plain line, whole, however long."""
        self._console.print(text, markup=False, soft_wrap=True)
        sys.stdout.flush()

    @contextmanager
    def line(self, number: str, text: str) -> Iterator[Line]:
        """Show that a step is under way, then its line; the line of a step that fails says so."""
        line = self.last = Line(number, text)
        began = time.monotonic()
        good = False
        try:
            with self._alive(line):
                yield line
            good = True
        finally:
            seconds = line.seconds if line.seconds is not None else time.monotonic() - began
            self._print(line, seconds, good)

    @contextmanager
    def _alive(self, line: Line) -> Iterator[None]:
        if not self._console.is_terminal:
            yield
            return
        columns = (TextColumn("{task.fields[number]:>2}"), SpinnerColumn(), TextColumn("{task.description}"))
        with Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True) as progress:
            progress.add_task(escape(line.text), number=line.number, total=None)
            yield

    def _print(self, line: Line, seconds: float, good: bool) -> None:
        mark, colour = ("✓", "green") if good else ("✗", "red")
        if not self._console.is_terminal:
            mark = "ok  " if good else "FAIL"
        text = f"{line.text:<{WIDTH}}"
        note = f"  [dim]{escape(line.note)}[/]" if line.note else ""
        self._console.print(
            f"{line.number:>2} [{colour}]{mark}[/] {escape(text)} {seconds:6.1f} s{note}", soft_wrap=True
        )
        sys.stdout.flush()
