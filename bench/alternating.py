"""Ours and theirs in turn, so that whatever else the machine does meets both; a side's number is its median."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Side:
    """One way of doing the same. `prepare` is called before each turn, outside of the clock, with the turn's number."""

    run: Callable[[], object]
    prepare: Callable[[int], object] = lambda _: None


def alternate(sides: Mapping[str, Side], rounds: int, *, warm_up: int = 1) -> dict[str, list[float]]:
    """Return each side's seconds, a number for each round. Who comes first changes from round to round.

    The first `warm_up` rounds are run and forgotten: they fill caches that are there in each later run.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-warm_up, rounds):
        for name in list(sides) if number % 2 else list(sides)[::-1]:
            sides[name].prepare(number)
            gc.collect()
            began = time.monotonic()
            sides[name].run()
            took = time.monotonic() - began
            if number >= 0:
                seconds[name].append(took)
            print(f"  {'warm-up' if number < 0 else f'round {number + 1}'}, {name}: {took:.2f} s", flush=True)
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Return each side's median."""
    return {name: median(took) for name, took in seconds.items()}
