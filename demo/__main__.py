"""`make demo` tells the whole story and ends; `make up` starts the same and stays."""

import json
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from demo.cloud import Cloud
from demo.processes import adopt_orphans, end_left_behind, left_behind
from demo.runs import read_runs
from demo.staying import stay
from demo.story import Story
from demo.telling import Teller
from demo.waiting import NotYet, StepFailed, expect

USAGE, INTERRUPTED = 2, 130
LAST_LINES, LINE_LENGTH = 12, 400
"""What is shown of the service's log when a step fails."""
FAILURES = (StepFailed, NotYet, OSError, RuntimeError)
STAYING = Path(__file__).resolve().parents[1] / ".stagedoor" / "up"
SETUP = "AWS, GitHub, a queue, a database and the service start, all of them local"


def main(arguments: list[str]) -> int:
    """Run the command and return its exit code: 0 done, 1 a step failed, 2 wrong usage, 130 interrupted."""
    if arguments not in ([], ["up"]):
        sys.stderr.write("Usage: python -m demo [up]\n")
        return USAGE
    adopt_orphans()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        return stay_up(Teller()) if arguments else tell_story(Teller())
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted: all that was started is ended.\n")
        return INTERRUPTED
    finally:
        end_left_behind()


def tell_story(teller: Teller) -> int:
    """Tell the story on a cloud of its own, which is thrown away; what it wrote is kept when a step fails."""
    state = Path(tempfile.mkdtemp(prefix="stagedoor-demo-"))
    useless = state
    try:
        result = _told(state, teller)
    except FAILURES as error:
        useless = state / "service" / "cache"
        _say_failure(error, state, teller)
        return 1
    finally:
        shutil.rmtree(useless, ignore_errors=True)
    teller.say(json.dumps(result))
    return 0


def stay_up(teller: Teller) -> int:
    """Start the same and stay. What packages were downloaded is kept for the next time; the rest begins anew."""
    kept = STAYING / "service" / "cache"
    kept.mkdir(parents=True, exist_ok=True)
    for path in [*STAYING.glob("*"), *STAYING.glob("service/*")]:
        if path not in (kept, kept.parent):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    try:
        with ExitStack() as everything:
            with teller.line("1", SETUP):
                cloud = everything.enter_context(Cloud(STAYING))
            stay(cloud, teller)
    except FAILURES as error:
        _say_failure(error, STAYING, teller)
        return 1
    return 0


def _told(state: Path, teller: Teller) -> dict[str, object]:
    began = time.monotonic()
    with ExitStack() as everything:
        with teller.line("1", SETUP):
            cloud = everything.enter_context(Cloud(state))
        setup = time.monotonic() - began
        story = Story(cloud, teller)
        story.tell()
        runs, left = len(story.runs), len(story.left())
    with teller.line("", "Everything is ended; no process is left"):
        processes = left_behind()
        expect(not processes, "no process left", "; ".join(f"{each.pid} {each.command}" for each in processes))
    seconds = {"setup": setup, **asdict(story.times)}
    return {
        "demo": "ok",
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "runs": runs,
        "left": left,
    }


def _say_failure(error: Exception, state: Path, teller: Teller) -> None:
    line = teller.last
    teller.say(f"\nStep {line.number} failed: {line.text}" if line.number else f"\nFailed: {line.text}")
    if isinstance(error, StepFailed):
        teller.say(f"  expected  {error.expected}\n  seen      {error.seen}")
    else:
        teller.say(f"  {type(error).__name__}: {error}")
    log = state / "service.log"
    if log.exists():
        _say_what_went_on(log, state / "service", teller)
    teller.say(f"The service's log is {log}." if log.exists() else f"What was written is in {state}.")
    teller.say(json.dumps({"demo": "failed", "step": line.number, "what": line.text}))


def _say_what_went_on(log: Path, data: Path, teller: Teller) -> None:
    """Say what the service was at: a machine of somebody else's shows nothing but this."""
    for database in data.glob("*.db"):
        for run in read_runs(database):
            teller.say(
                f"  run {run.id}   {run.kind} {(run.commit or '')[:7]}: {run.outcome or 'under way'}, {run.phase}"
            )
    for line in log.read_text(errors="replace").splitlines()[-LAST_LINES:]:
        teller.say(f"  log       {line[:LINE_LENGTH]}")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End once, and do not let a second signal end the clean-up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
