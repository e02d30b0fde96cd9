"""Benchmarks against peers and floors, from the root of a checkout: `make bench`.

Each runs as `python -m bench.NAME` and writes `bench/results/NAME.json`, a list of {metric, value, unit, bar, ok,
against}, and `NAME.md`, the same for people. `results.py` is how they are written.
"""
