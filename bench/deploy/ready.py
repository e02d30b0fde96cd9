"""Deploys that begin with a ready assembly: all stacks new, and a first deploy with many assets."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from bench.alternating import Side, alternate
from bench.deploy.accounts import OURS, THEIRS, Place, place
from bench.deploy.made_assembly import make_assembly
from bench.deploy.shell import ALL
from bench.peers import ROOT, Program
from bench.rows import Row, ratio, spread
from bench.sample import copy_of_the_app

NEW = """
**Assembly ready, all stacks new.** The sample app's assembly; its assets are published, all stacks are deleted before
each turn. Ours is the engine as a program of its own (read, inspect, rewrite, deploy), beside `cdk deploy --all --app
cdk.out` and the floor: a loop in boto3 that creates the stacks one after the other and does nothing else.
"""

FIRST = """
**First deploy.** {stacks} stacks that depend on nothing, {assets} assets of {size} MB of random bytes, each a folder
that is zipped on the way. Before each turn the stacks and every asset are deleted, and the CDK CLI's archives too.
"""
FIRST_STACKS, FIRST_ASSETS, MEGABYTE = 10, 20, 1_000_000


def all_new(rounds: int) -> Row:
    """Measure a ready assembly's deploy where nothing is there but the assets."""
    with place() as here:
        here.bootstrap()
        folder = copy_of_the_app(here.folder / "app")
        here.cdk(folder)("synth", "--quiet", "--output", str(here.folder / "cdk.out"))
        sides = {
            "stagedoor's engine": _emptied(here, OURS, _engine(here, here.folder / "cdk.out")),
            "cdk deploy --all --app cdk.out": _emptied(
                here, THEIRS, lambda: here.cdk(here.folder)(*ALL, "--app", "cdk.out")
            ),
            "a loop in boto3": _emptied(
                here, THEIRS, lambda: _python(here, THEIRS, "bench.deploy.plain_loop")(str(here.folder / "cdk.out"))
            ),
        }
        seconds = alternate(sides, rounds)
    ours = "stagedoor's engine"
    return Row(
        (
            ratio("assembly ready, all stacks new", seconds, ours, "cdk deploy --all --app cdk.out", 0.25),
            ratio("the same beside the floor", seconds, ours, "a loop in boto3"),
        ),
        NEW + "\n" + spread(seconds),
    )


def first(rounds: int) -> Row:
    """Measure the first deploy of many stacks with many assets."""
    with place() as here:
        here.bootstrap()
        made = {
            side: make_assembly(here.folder / side, FIRST_STACKS, FIRST_ASSETS, MEGABYTE) for side in ("ours", "theirs")
        }
        together = ("--app", "theirs", "--concurrency", str(FIRST_STACKS))
        sides = {
            "stagedoor's engine": _bare(here, OURS, made["ours"], _engine(here, made["ours"])),
            f"cdk deploy --all --concurrency {FIRST_STACKS}": _bare(
                here, THEIRS, made["theirs"], lambda: here.cdk(here.folder)(*ALL, *together)
            ),
        }
        seconds = alternate(sides, rounds)
    ours, theirs = sides
    how = FIRST.format(stacks=FIRST_STACKS, assets=FIRST_STACKS * FIRST_ASSETS, size=MEGABYTE // 1_000_000)
    metric = f"first deploy, {FIRST_STACKS} stacks, {FIRST_STACKS * FIRST_ASSETS} assets of 1 MB"
    return Row((ratio(metric, seconds, ours, theirs, 0.5),), how + "\n" + spread(seconds))


def _python(here: Place, account: str, module: str) -> Program:
    return Program((sys.executable, "-m", module), ROOT, here.account(account))


def _engine(here: Place, directory: Path) -> Callable[[], str]:
    program = _python(here, OURS, "bench.deploy.engine")
    return lambda: program(str(directory), "new")


def _emptied(here: Place, account: str, run: Callable[[], str]) -> Side:
    return Side(run, lambda _: here.remove_stacks(account))


def _bare(here: Place, account: str, assembly: Path, run: Callable[[], str]) -> Side:
    def prepare(_: int) -> None:
        here.remove_stacks(account)
        here.empty_bucket(account)
        shutil.rmtree(assembly / ".cache", ignore_errors=True)

    return Side(run, prepare)
