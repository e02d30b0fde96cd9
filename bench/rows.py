"""The rows of a benchmark's page: how they are asked for, measured and told, and how a ratio becomes one."""

import argparse
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
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


def row_options(program: str, about: str | None, rows: Iterable[str]) -> argparse.Namespace:
    """Return what the command line asks for: `only` some rows, and how many `rounds`."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("--only", action="append", choices=rows, help="measure this row, and write no page")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def measured_row(name: str, measure: Callable[[], Row]) -> Row:
    """Measure a row; one that fails is a bar that is missed, and does not cost the others."""
    print(f"{name}:", flush=True)
    began = time.monotonic()
    try:
        row = measure()
    except Exception as error:
        traceback.print_exc()
        row = Row((Result(f"the row {name!r}", 0, "", "measured", False, f"it failed: {str(error)[:200]!r}"),), "")
    print(f"  took {time.monotonic() - began:.0f} s", flush=True)
    return row


def told_results(rows: Iterable[Row]) -> list[Result]:
    """Print the results of all rows, and return them."""
    results = [result for row in rows for result in row.results]
    for result in results:
        bar = f" (bar {result.bar}: {'met' if result.ok else 'MISSED'})" if result.bar else ""
        print(f"{result.metric}: {result.value:g} {result.unit}{bar} · {result.against}")
    return results
