"""Measure the rows of part 4's bars and write the page: `python -m bench.library`."""

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

from bench.results import write_results
from bench.rows import Row, measured_row, row_options, told_results

ROWS = {
    "cold start": "bench.library.cold_start:cold_start",
    "import": "bench.library.programs:imports",
    "synth": "bench.library.programs:synth",
    "first deploy": "bench.library.first_deploy:first_deploy",
}
"""Each row, and the function that measures it in a number of rounds."""

TITLE = "The library"


def main() -> int:
    """Measure, print, and write the page unless only some rows were wanted. Returns 1 when a bar was missed."""
    options = row_options("bench.library", __doc__, ROWS)
    rows = {name: measured_row(name, partial(_measured, name, options.rounds)) for name in options.only or ROWS}
    results = told_results(rows.values())
    if not options.only:
        write_results("library", TITLE, results, "\n".join(row.how for row in rows.values()), ["aws-cdk-lib"])
    return 0 if all(result.ok for result in results) else 1


def _measured(name: str, rounds: int) -> Row:
    module, _, function = ROWS[name].partition(":")
    measure: Callable[[int], Row] = getattr(import_module(module), function)
    return measure(rounds)


if __name__ == "__main__":
    sys.exit(main())
