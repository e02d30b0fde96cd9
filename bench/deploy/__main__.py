"""Measure the rows of part 2's bars and write the page: `python -m bench.deploy`."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module

from bench.deploy.row import Row
from bench.peers import versions
from bench.results import Result, write_results

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
    options = _options()
    rows = {name: _measured(name, options.rounds) for name in options.only or ROWS}
    results = [result for row in rows.values() for result in row.results]
    for result in results:
        bar = f" (bar {result.bar}: {'met' if result.ok else 'MISSED'})" if result.bar else ""
        print(f"{result.metric}: {result.value:g} {result.unit}{bar} · {result.against}")
    met = all(result.ok for result in results)
    if not options.only:
        also = ", ".join(f"{name} {version}" for name, version in versions().items())
        how = "\n".join([f"With {also}.", HOW.format(rounds=options.rounds), *(row.how for row in rows.values())])
        write_results("deploy", TITLE, results, how, ["boto3"])
    return 0 if met else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.deploy", description=__doc__)
    parser.add_argument("--only", action="append", choices=ROWS, help="measure this row, and write no page")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def _measured(name: str, rounds: int) -> Row:
    """Measure a row; one that fails is a bar that is missed, and does not cost the others."""
    module, _, function = ROWS[name].partition(":")
    measure: Callable[[int], Row] = getattr(import_module(module), function)
    print(f"{name}:", flush=True)
    began = time.monotonic()
    try:
        row = measure(rounds)
    except Exception as error:
        traceback.print_exc()
        row = Row((Result(f"the row {name!r}", 0, "", "measured", False, f"it failed: {str(error)[:200]!r}"),), "")
    print(f"  took {time.monotonic() - began:.0f} s", flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
