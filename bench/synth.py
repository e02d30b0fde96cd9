"""Synths beside the CDK CLI's: of a tree not seen before, of one that was, and in a process that was warm.

python -m bench.synth [--rounds N]
"""

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.alternating import Side, alternate
from bench.peers import CACHE, ROOT, cdk_cli
from bench.results import Result
from bench.rows import ratio, spread
from bench.sample import APP, copy_of_the_app, python_for_the_cdk_cli
from stagedoor.assembly.reader import read_assembly
from stagedoor.cli import collect_seldom
from stagedoor.events import Event, silent
from stagedoor.synth.executor import Limits, LocalProcessExecutor
from stagedoor.synth.program import SynthRequest
from stagedoor.synth.synthesis import synthesize
from stagedoor.synth.validation import Validation
from stagedoor.synth.warm import WarmPool
from stagedoor.synth.warm_keeper import KeptWarm, WarmKeeper
from stagedoor.synth.warm_rooms import WarmRooms
from stagedoor.target import Trust

FILES = 5000
_WARM_SECONDS = 60
NO_ACCOUNT = {"AWS_EC2_METADATA_DISABLED": "true"}

HOW = """
**Synth.** The app is the sample app (Python, 3 stacks, 50 resources); what it needs is installed. Before each turn
settings in its source are changed, so that no side knows tree or template. `cdk synth` is a process of its own, and so
is ours, which does what `stagedoor deploy` does before it asks AWS anything: the app's program in its sandbox and, with
validation, the engine of the app's own aws-cdk-lib beside it, until the findings are known. The warm process, and the
tree that was seen before, are measured inside of a process, as `stagedoor dev` has them; so is a worker's synth, by the
worker's keeper, of a new copy of the app each time. The larger tree has {files} files more.
"""


def measure(rounds: int) -> tuple[list[Result], str]:
    """Return the results, and how they came about in Markdown."""
    with (
        tempfile.TemporaryDirectory(prefix="stagedoor-bench-") as place,
        _warm(Path(place, "pool")) as pool,
        _Worker(Path(place, "worker")) as worker,
    ):
        folder = Path(place)
        ours, warm, theirs = (copy_of_the_app(folder / name) for name in ("ours", "warm", "theirs"))
        cdk = cdk_cli(theirs, NO_ACCOUNT, folder / "home", python_for_the_cdk_cli())
        out = ("synth", "--quiet", "--output", str(folder / "cdk.out"))

        def changed(app: Path) -> Callable[[int], None]:
            def prepare(number: int) -> None:
                _change(app, number)
                _wait_for(pool)
                worker.wait()

            return prepare

        def fetched(number: int) -> None:
            changed(worker.fetch(number))(number)

        sides = {
            "stagedoor, validated": Side(lambda: _alone(ours, "--validate"), changed(ours)),
            "stagedoor": Side(lambda: _alone(ours), changed(ours)),
            "stagedoor, warm": Side(lambda: _in_process(warm, folder, pool), changed(warm)),
            "stagedoor, a worker's": Side(worker.synthesize, fetched),
            "cdk synth": Side(lambda: cdk(*out), changed(theirs)),
            "cdk synth, CDK_VALIDATION=false": Side(
                lambda: cdk.at(theirs, CDK_VALIDATION="false")(*out), changed(theirs)
            ),
        }
        seconds = alternate(sides, rounds)
        seen = [_seen(ours, folder, 0), _seen(ours, folder, FILES)]
    results = [
        ratio("synth, validation included", seconds, "stagedoor, validated", "cdk synth", 0.35),
        ratio("synth, no validation", seconds, "stagedoor", "cdk synth, CDK_VALIDATION=false", 0.75),
        ratio("synth in a warm process", seconds, "stagedoor, warm", "cdk synth", 0.08),
        ratio(
            "synth in a worker's warm process, tree fetched anew", seconds, "stagedoor, a worker's", "cdk synth", 0.08
        ),
        *seen,
    ]
    return results, HOW.format(files=FILES) + "\n" + spread(seconds)


def _change(app: Path, number: int) -> None:
    """Change values in the app's source that go into a template; nobody has seen the tree, or the template."""
    told = f"{time.time_ns()} {number}"
    (app / "app.py").write_text((APP / "app.py").read_text().replace('string_value=f"', f'string_value=f"{told} '))


def _request(app: Path, output: Path) -> SynthRequest:
    return SynthRequest(app, output, "bench", "000000000000", "us-east-1", CACHE, Trust.PREVIEW, root=app)


def _alone(app: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "bench.synth", "--once", str(app), *words], cwd=ROOT, check=True)


def _once(app: Path, *, validate: bool) -> None:
    """Be our side: synthesise, and know what validation says."""
    with tempfile.TemporaryDirectory(prefix="stagedoor-bench-") as place:
        request = _request(app, Path(place, "cdk.out"))
        if not validate:
            synthesize(request, LocalProcessExecutor(Limits(niceness=0)), silent)
            return
        cache = CACHE / request.trust.value
        with Validation(lambda check: LocalProcessExecutor(check=check), cache) as validation:
            validation.begin(
                read_assembly(synthesize(request, LocalProcessExecutor(Limits(niceness=0)), silent, validation))
            )
            validation.check(silent)


def _warm(folder: Path) -> WarmPool:
    return WarmPool(folder, lambda check: LocalProcessExecutor(Limits(seconds=3600), check=check))


def _wait_for(pool: WarmPool) -> None:
    """Wait until the process that gets ready is, so that it takes nothing from the side whose turn it is."""
    until = time.monotonic() + _WARM_SECONDS
    while pool.loading and time.monotonic() < until:
        time.sleep(0.05)


def _in_process(app: Path, folder: Path, pool: WarmPool) -> None:
    output = Path(tempfile.mkdtemp(dir=folder)) / "cdk.out"
    synthesize(_request(app, output), LocalProcessExecutor(), silent, warm=pool)


class _Worker:
    """What a worker does for a synth, with a keeper of warm processes; each tree is a new one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rooms = WarmRooms(
            folder / "warm", lambda check: LocalProcessExecutor(Limits(seconds=math.inf), check=check)
        )
        self._keeper = WarmKeeper(self._rooms)
        self._run = folder

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_how: object) -> None:
        self._keeper.close()

    def fetch(self, number: int) -> Path:
        """Return a new tree."""
        self._run = self._folder / f"run-{number}-{time.time_ns()}"
        return copy_of_the_app(self._run / "tree")

    def wait(self) -> None:
        """Wait until what gets ready is ready."""
        until = time.monotonic() + _WARM_SECONDS
        while any(process.alive and not process.ready for process in self._rooms.waiting) and time.monotonic() < until:
            time.sleep(0.05)

    def synthesize(self) -> None:
        """Synthesise the tree that was fetched last."""
        with KeptWarm(self._keeper.door) as warm:
            request = _request(self._run / "tree", self._run / "cdk.out")
            synthesize(request, LocalProcessExecutor(), silent, warm=warm)


def _seen(app: Path, folder: Path, files: int) -> Result:
    """Measure a tree that was seen before; see to it that it was."""
    collect_seldom()  # as each of our commands does
    more = app / "more"
    more.mkdir(exist_ok=True)
    for number in range(files):
        (more / f"{number}.txt").write_text(str(number))
    time.sleep(3)  # a tree that was changed a moment ago is read again, and is no common case
    took: list[float] = []
    for number in range(12):
        events: list[Event] = []
        request = _request(app, Path(tempfile.mkdtemp(dir=folder)) / "cdk.out")
        began = time.monotonic()
        synthesize(request, LocalProcessExecutor(), events.append)
        if number >= 2:
            assert [event.status for event in events] == ["hit"]
            took.append((time.monotonic() - began) * 1000)
    value = round(median(took), 1)
    what = f"synth of a tree seen before, {files} files more" if files else "synth of a tree seen before"
    return Result(what, value, "ms", "≤ 50 ms", value <= 50, "no process started")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.synth", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--once", type=Path, help="be our side of one synth, in this folder")
    parser.add_argument("--validate", action="store_true")
    options = parser.parse_args()
    collect_seldom()
    if options.once:
        _once(options.once, validate=options.validate)
        return
    results, how = measure(options.rounds)
    for result in results:
        bar = f" (bar {result.bar}: {'met' if result.ok else 'MISSED'})" if result.bar else ""
        print(f"{result.metric}: {result.value:g} {result.unit}{bar} · {result.against}")
    print(how)


if __name__ == "__main__":
    main()
