"""Measure the rows of part 3's bars and write the page: `python -m bench.live`."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from importlib import import_module

import uvloop

from bench.live.peers import PEERS
from bench.results import write_results
from bench.rows import Row, measured_row, row_options, told_results

ROWS = {
    "added": "bench.live.cost:added",
    "large": "bench.live.cost:six_megabytes",
    "thousand": "bench.live.cost:thousand",
    "saves": "bench.live.saves:saves",
    "cuts": "bench.live.faults:cuts",
    "killed": "bench.live.faults:killed",
    "nobody": "bench.live.nobody:nobody",
    "developers": "bench.live.faults:developers",
    "fidelity": "bench.live.fidelity:fidelity",
}
"""Each row, and the coroutine function that measures it in a number of rounds."""

TITLE = "Live: what the tunnel costs and what it survives"
HOW = """
Everything is on one machine and its loopback: a service (`stagedoor serve --workers 0`, on SQLite), agents in processes
of their own with real workers (awslambdaric), and callers that say to the relay what a bridge says, many in one process
on asyncio; where the row is about the bridge, the real one. A number is the median of {rounds} rounds after a warm-up,
unless it counts what must not happen: then it is the sum.
"""


def main() -> int:
    """Measure, print, and write the page unless only some rows were wanted. Returns 1 when a bar was missed."""
    options = row_options("bench.live", __doc__, ROWS)
    rows = {name: measured_row(name, partial(_measured, name, options.rounds)) for name in options.only or ROWS}
    results = told_results(rows.values())
    if options.only:
        for row in rows.values():
            print(row.how)
    else:
        how = "\n".join([HOW.format(rounds=options.rounds), *(row.how for row in rows.values()), PEERS])
        write_results("live", TITLE, results, how, ["uvicorn", "starlette", "websockets", "aiohttp"])
    return 0 if all(result.ok for result in results) else 1


def _measured(name: str, rounds: int) -> Row:
    module, _, function = ROWS[name].partition(":")
    measure: Callable[[int], Coroutine[None, None, Row]] = getattr(import_module(module), function)
    # Callers are in AWS, not on the developer's machine: where it is full, theirs cost as little as they can.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if name == "thousand" else None) as runner:
        return runner.run(measure(rounds))


if __name__ == "__main__":
    sys.exit(main())
