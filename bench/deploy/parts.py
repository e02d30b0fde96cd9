"""Rows that other benchmarks measure: synth and publishing."""

from dataclasses import replace

from bench import publishing as publishing_bench
from bench import synth as synth_bench
from bench.rows import Row

ASSETS, GIGABYTES = 200, 1.0


def synth(rounds: int) -> Row:
    """Measure synths: of a tree not seen before, of one that was, and in a warm process."""
    results, how = synth_bench.measure(rounds)
    return Row(tuple(results), how)


def publishing(rounds: int) -> Row:
    """Measure publishing beside a plain upload, and the memory that a gigabyte takes."""
    with publishing_bench.ground() as on:
        results = publishing_bench.speed(on, ASSETS, rounds)
    results = [each if each.bar else replace(each, metric=f"publishing: {each.metric}") for each in results]
    results.append(publishing_bench.memory(GIGABYTES))
    how = publishing_bench.HOW.format(
        assets=ASSETS, at_once=publishing_bench.AT_ONCE, rounds=rounds, gigabytes=GIGABYTES
    )
    return Row(tuple(results), how)
