"""Measure the rows of part 2's bars and write the page: `python -m bench.deploy`."""

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module

from bench.peers import versions
from bench.results import write_results
from bench.rows import Row, measured_row, row_options, told_results

ROWS = {
    "synth": "bench.deploy.parts:synth",
    "unchanged": "bench.deploy.shell:unchanged",
    "changed": "bench.deploy.shell:changed",
    "new": "bench.deploy.ready:all_new",
    "first": "bench.deploy.ready:first",
    "publishing": "bench.deploy.parts:publishing",
    "model": "bench.deploy.model:overhead",
}
"""Each row, and the function that measures it in a number of rounds."""

TITLE = "Deploys beside the CDK CLI's"
HOW = """
The emulator (ministack) answers at once, so these are the client's own cost; what a user of AWS waits for beside it
is in the row of the model. The sides alternate in one run on one machine, each with an account of its own, {rounds}
rounds after a warm-up; a number is a ratio of medians. The CDK CLI asks the internet nothing here (notices, usage
reports and the check of its version are off), which is to its advantage.
"""


def main() -> int:
    """Measure, print, and write the page unless only some rows were wanted. Returns 1 when a bar was missed."""
    options = row_options("bench.deploy", __doc__, ROWS)
    rows = {name: measured_row(name, partial(_measured, name, options.rounds)) for name in options.only or ROWS}
    results = told_results(rows.values())
    met = all(result.ok for result in results)
    if not options.only:
        also = ", ".join(f"{name} {version}" for name, version in versions().items())
        how = "\n".join([f"With {also}.", HOW.format(rounds=options.rounds), *(row.how for row in rows.values())])
        write_results("deploy", TITLE, results, how, ["boto3"])
    return 0 if met else 1


def _measured(name: str, rounds: int) -> Row:
    module, _, function = ROWS[name].partition(":")
    measure: Callable[[int], Row] = getattr(import_module(module), function)
    return measure(rounds)


if __name__ == "__main__":
    sys.exit(main())
