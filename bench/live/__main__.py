"""Measure the rows of part 3's bars and write the page: `python -m bench.live`."""

import argparse
import asyncio
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from importlib import import_module

import uvloop

from bench.deploy.row import Row
from bench.live.peers import PEERS
from bench.results import Result, write_results

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
    options = _options()
    rows = {name: _measured(name, options.rounds) for name in options.only or ROWS}
    results = [result for row in rows.values() for result in row.results]
    for result in results:
        bar = f" (bar {result.bar}: {'met' if result.ok else 'MISSED'})" if result.bar else ""
        print(f"{result.metric}: {result.value:g} {result.unit}{bar} · {result.against}")
    if options.only:
        for row in rows.values():
            print(row.how)
    else:
        how = "\n".join([HOW.format(rounds=options.rounds), *(row.how for row in rows.values()), PEERS])
        write_results("live", TITLE, results, how, ["uvicorn", "starlette", "websockets", "aiohttp"])
    return 0 if all(result.ok for result in results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.live", description=__doc__)
    parser.add_argument("--only", action="append", choices=ROWS, help="measure this row, and write no page")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def _measured(name: str, rounds: int) -> Row:
    """Measure a row; one that fails is a bar that is missed, and does not cost the others."""
    module, _, function = ROWS[name].partition(":")
    print(f"{name}:", flush=True)
    began = time.monotonic()
    try:
        measure: Callable[[int], Coroutine[None, None, Row]] = getattr(import_module(module), function)
        # Callers are in AWS, not on the developer's machine: where it is full, theirs cost as little as they can.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if name == "thousand" else None) as runner:
            row = runner.run(measure(rounds))
    except Exception as error:
        traceback.print_exc()
        row = Row((Result(f"the row {name!r}", 0, "", "measured", False, f"it failed: {str(error)[:200]!r}"),), "")
    print(f"  took {time.monotonic() - began:.0f} s", flush=True)
    return row


if __name__ == "__main__":
    sys.exit(main())
