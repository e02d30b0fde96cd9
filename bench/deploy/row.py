"""What each row returns, and how a ratio becomes one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.results import Result


@dataclass(frozen=True, slots=True)
class Row:
    """What one measurement gave; `how` is Markdown."""

    results: tuple[Result, ...]
    how: str


def ratio(
    metric: str, seconds: Mapping[str, Sequence[float]], ours: str, theirs: str, bar: float | None = None
) -> Result:
    """Hold the ratio of two sides' medians, taken in one run, to a bar; without one it is only told."""
    own, other = median(seconds[ours]), median(seconds[theirs])
    value = round(own / other, 3)
    against = f"{theirs}: {other:.2f} s; {ours}: {own:.2f} s"
    return Result(metric, value, "times", f"≤ {bar:g} times" if bar else "", bar is None or value <= bar, against)


def spread(seconds: Mapping[str, Sequence[float]]) -> str:
    """Return a table of the rounds behind the medians."""
    rows = [f"| {name} | {' '.join(f'{one:.2f}' for one in took)} |" for name, took in seconds.items()]
    return "\n".join(["| side | seconds of each round |", "|---|---|", *rows])
