"""How work that goes on looks on a terminal: a tree of phases, stacks and what they wait for."""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stagedoor.cli.patience import usual_time
from stagedoor.cli.progress import Item, Progress, StackItem
from stagedoor.cli.words import plain, seconds_text

SLOW = 30.0
"""Seconds after which a resource that is still being made is worth a second look."""

_RESOURCES_SHOWN = 8
_FRESH = 5.0
"""Seconds for which the last line that the app printed is shown: an older one says nothing about now."""

_OF_STACKS = ("apply", "remove")


@dataclass(frozen=True, slots=True)
class Signs:
    """The signs before a line; the plain ones are for terminals that cannot show others."""

    done: str = "✓"
    failed: str = "✗"
    warning: str = "!"
    waiting: str = "·"
    turning: str = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

    def of(self, item: Item, now: float) -> Text:
        """Return the sign of something that goes on or has ended."""
        if item.failed:
            return Text(self.failed, "red")
        if item.seconds is not None:
            return Text(self.done, "green")
        if item.waiting:
            return Text(self.waiting, "dim")
        return Text(self.turning[int(now * 10) % len(self.turning)], "cyan")


PLAIN_SIGNS = Signs("+", "x", "!", ".", "|/-\\")


def picture(progress: Progress, now: float, signs: Signs, note: str = "") -> RenderableType:
    """Return the tree as it is at `now`, with a note below it."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis", style="dim")
    for phase in progress.phases.values():
        table.add_row(_line(signs.of(phase, now), phase.name), _seconds(phase, now), _about(phase, progress, now))
        if phase.name in _OF_STACKS:
            for row in _stack_rows(progress, now, signs):
                table.add_row(*row)
    return Group(table, Text(note, "yellow")) if note else table


def summary(stack: StackItem) -> str:
    """Return what became of a stack's resources, and which took longest."""
    ended = [item for item in stack.resources.values() if item.seconds is not None]
    if not ended:
        return ""
    count = f"{len(ended)} resource{'s' if len(ended) > 1 else ''}"
    slowest = max(ended, key=lambda item: item.seconds or 0.0)
    if len(ended) < 2 or (slowest.seconds or 0.0) < 1:
        return count
    return f"{count}, slowest {slowest.name} {seconds_text(slowest.seconds or 0.0)}"


def _stack_rows(progress: Progress, now: float, signs: Signs) -> Iterator[tuple[Text, Text, Text]]:
    for stack in progress.stacks.values():
        about = Text(f"{stack.words}  {summary(stack)}".strip())
        yield _line(signs.of(stack, now), stack.name, 1), _seconds(stack, now), about
        if stack.seconds is None or stack.failed:
            yield from _resource_rows(stack, now, signs)


def _resource_rows(stack: StackItem, now: float, signs: Signs) -> Iterator[tuple[Text, Text, Text]]:
    """Yield what failed and what is being waited for, the longest first; what is done is only counted."""
    waited_for = [item for item in stack.resources.values() if item.failed or item.seconds is None]
    waited_for.sort(key=lambda item: (not item.failed, -item.elapsed(now)))
    for item in waited_for[:_RESOURCES_SHOWN]:
        usual = usual_time(item.detail) if item.seconds is None else ""
        about = Text(f"{item.words}  {item.detail}" + (f"  usually {usual}" if usual else ""))
        yield _line(signs.of(item, now), item.name, 2), _seconds(item, now), about
    if len(waited_for) > _RESOURCES_SHOWN:
        yield Text(f"      and {len(waited_for) - _RESOURCES_SHOWN} more", "dim"), Text(), Text()


def _line(sign: Text, name: str, depth: int = 0) -> Text:
    return Text.assemble("  " * depth, sign, " ", name)


def _about(phase: Item, progress: Progress, now: float) -> Text:
    if phase.seconds is None and now - progress.last_line_at < _FRESH and phase.name not in _OF_STACKS:
        return Text(plain(progress.last_line))
    return Text(phase.detail)


def _seconds(item: Item, now: float) -> Text:
    elapsed = 0.0 if item.waiting else item.elapsed(now)
    slow = item.seconds is None and elapsed > SLOW
    return Text(seconds_text(elapsed) if elapsed >= 0.05 else "", "yellow" if slow else "dim")
