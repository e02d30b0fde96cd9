"""The steps of `action.yml`, one command each, and how each ends."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from action.inputs import Inputs
from action.refusal import CANCELLATIONS, Cancelled, Refused
from action.runner import Runner
from action.summary import Result, markdown, refusal
from action.workflow import Workflow

CANCELLED = 130


def main(argv: Sequence[str]) -> int:
    """Run the step that is named, and return its exit status."""
    step = {"ask": _ask, "synth": _synth, "engine": _engine, "install": _install, "alone": _alone, "tell": _tell}
    environ = dict(os.environ)
    # Whatever the machine's locale is.
    runner = Runner(environ, io.TextIOWrapper(sys.stdout.buffer, "utf-8", "replace"))
    for number in (*CANCELLATIONS, signal.SIGALRM):
        signal.signal(number, _cancel)
    sys.unraisablehook = _once_more
    try:
        try:
            return step[argv[0]](environ, runner)
        except Refused as refused:
            runner.error(refused)
            runner.output("status", "cancelled" if refused.id == "cancelled" else "failed")
            runner.summary(refusal(refused))
            return 1
    except Cancelled:
        runner.close()
        runner.line("Cancelled.")
        runner.output("status", "cancelled")
        return CANCELLED


def _cancel(_number: int, _frame: FrameType | None) -> None:
    # The runner asks twice within ten seconds; what the first began is not to be broken off by the second.
    for number in CANCELLATIONS:
        signal.signal(number, _not_again)
    raise Cancelled


def _not_again(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. A signal that is ignored by the system instead may make Python complain of one on its way."""


def _once_more(dropped: sys.UnraisableHookArgs) -> None:
    """Raise a cancellation again in a moment, if Python dropped it: it does where it deletes an object."""
    if isinstance(dropped.exc_value, Cancelled):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    else:
        sys.__unraisablehook__(dropped)


def _ask(environ: Mapping[str, str], runner: Runner) -> int:
    from action.ask import ask

    inputs, workflow = Inputs.of(environ), Workflow.of(environ)
    return _finish(ask(inputs, workflow, environ, runner), inputs, runner)


def _synth(environ: Mapping[str, str], runner: Runner) -> int:
    from action.synth import synthesise

    made = synthesise(Inputs.of(environ), Workflow.of(environ), environ, runner)
    for name, value in (("artifact", made.artifact), ("assembly", str(made.folder)), ("stage", made.stage)):
        runner.output(name, value)
    runner.output("status", "synthesised")
    return 0


def _engine(environ: Mapping[str, str], runner: Runner) -> int:
    from action.engine import find_engine

    engine = find_engine(environ)
    runner.output("folder", str(engine.folder))
    runner.output("key", engine.key)
    return 0


def _install(environ: Mapping[str, str], runner: Runner) -> int:
    from action.engine import find_engine, install

    install(find_engine(environ), environ, runner)
    return 0


def _alone(environ: Mapping[str, str], runner: Runner) -> int:
    from action.alone import alone, begun, command_of
    from action.engine import find_engine

    inputs, workflow = Inputs.of(environ), Workflow.of(environ)
    telling = _telling(inputs, workflow, environ, runner)
    removing = command_of(inputs, workflow) == "remove"
    start = begun(inputs, workflow)

    def end(result: Result) -> None:
        if telling:
            failed = removing and result.status == "failed"
            telling.end(_with_status(result, "remove-failed", result.refused) if failed else result, inputs.outputs)

    if telling:
        telling.begin(_with_status(start, "removing") if removing else start)
    try:
        result = alone(inputs, workflow, environ, runner, find_engine(environ).python)
    except Refused as refused:
        end(_with_status(start, "failed", refused))
        raise
    except Cancelled:
        runner.output("stage", start.stage)
        end(_with_status(start, "cancelled"))
        raise
    end(result)
    return _finish(result, inputs, runner)


def _tell(environ: Mapping[str, str], runner: Runner) -> int:
    """End what a step that was killed could not end any more."""
    from action.telling import result_told

    inputs, workflow = Inputs.of(environ), Workflow.of(environ)
    telling = _telling(inputs, workflow, environ, runner)
    told = telling.told() if telling else {}
    if telling and told and not told.get("ended"):
        telling.end(result_told(told, workflow), inputs.outputs)
    return 0


def _telling(inputs: Inputs, workflow: Workflow, environ: Mapping[str, str], runner: Runner):  # type: ignore[no-untyped-def]
    """Return what tells GitHub; None where there is no token, or nothing is changed that it should show."""
    if not inputs.github_token or inputs.command not in ("deploy", "remove"):
        return None
    from action.telling import Telling

    place = Path(environ.get("RUNNER_TEMP") or workflow.workspace) / "stagedoor" / "told"
    stage = workflow.stage(inputs.stage)
    name = "".join(each if each.isalnum() else "-" for each in inputs.app)
    return Telling(workflow, inputs.github_token, runner, place / f"{name}.{stage}.json")


def _with_status(result: Result, status: str, refused: Refused | None = None) -> Result:
    from dataclasses import replace

    return replace(result, status=status, refused=refused)


def _finish(result: Result, inputs: Inputs, runner: Runner) -> int:
    """Write outputs and summary, and return the exit status: the step ends as the run ended."""
    outputs = {
        "stage": result.stage,
        "url": result.url,
        "outputs": json.dumps(result.outputs or {}, sort_keys=True),
        "status": result.status,
        "run-url": result.run_url,
        "changed": "true" if result.changed else "false",
    }
    for name, value in outputs.items():
        runner.output(name, value)
    runner.summary(markdown(result, inputs.outputs))
    good = result.status in ("succeeded", "unchanged", "removed")
    if result.refused is not None and not good:
        runner.error(result.refused)
    elif good:
        said = f"{result.status}: {result.url}" if result.url else result.status
        if result.plan is not None:
            said = "a deploy would change it" if result.changed else "nothing would change"
        runner.line(f"The stage {result.stage} of {result.app}: {said}")
    return 0 if good else 1
