"""Mode 3: no service. The deploy engine runs in this job, with the AWS credentials that the workflow gave it.

It is the command line (docs/cli.md) with `--json`, so who owns a stage is decided by the tags of its stacks: one that
a service or another repository has is refused.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from action.app_folder import name_of
from action.checkout import check_remote, trusting, warn_of_other_commit
from action.engine import ROOT
from action.event_log import EventLog
from action.inputs import Inputs
from action.refusal import Cancelled, Refused
from action.runner import Runner
from action.summary import Result, shown_outputs, url_of, with_plan
from action.workflow import Workflow, is_lasting

_CANCEL_SECONDS = 8.5
"""How long the engine has to come to a safe point; the runner kills what is left 10 seconds after it asked."""

_NOT_HANDED_ON = ("INPUT_", "ACTIONS_")


def command_of(inputs: Inputs, workflow: Workflow) -> str:
    """Return what is to be done: a deploy for a pull request that was closed is a removal, of its own stage.

    Raises `Refused` for another stage: what deploys to `dev` when a pull request was merged must not take `dev` away.
    """
    if inputs.command != "deploy" or not workflow.closed:
        return inputs.command
    workflow.check_own(inputs.stage)
    return "remove"


def begun(inputs: Inputs, workflow: Workflow) -> Result:
    """Return what is known of the stage before anything is done. Raises `Refused`."""
    stage = workflow.stage(inputs.stage)
    app = name_of(inputs.root(workflow.workspace), inputs.app, inputs.config, workflow.repository)
    return Result(app, stage, "started", workflow.commit, workflow.web_url, workflow.run_url)


def alone(inputs: Inputs, workflow: Workflow, environ: Mapping[str, str], runner: Runner, python: Path) -> Result:
    """Run the engine. Raises `Refused` where it cannot be run at all, and `Cancelled`."""
    start = begun(inputs, workflow)
    command = command_of(inputs, workflow)
    _refuse_strangers(workflow, command)
    argv = [str(python), "-m", "stagedoor.cli", command, "--stage", start.stage, "--json"]
    argv += ["--app", inputs.app] if inputs.app else []
    if command == "remove":
        argv += ["--confirm", start.stage] if inputs.stage or not is_lasting(start.stage) else []
    root = inputs.root(workflow.workspace)
    if command in ("deploy", "diff"):
        meant = workflow.compared_commit(start.stage) if command == "diff" else workflow.commit
        warn_of_other_commit(root, meant, runner)
    env = trusting(root, {name: value for name, value in environ.items() if not name.startswith(_NOT_HANDED_ON)})
    check_remote(root, env)
    env |= {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "STAGEDOOR_CONFIG": inputs.config}
    began = time.monotonic()
    said = _Engine(argv, root, env, runner, inputs.timeout).run()
    return replace(_result(said, command, start, inputs), seconds=time.monotonic() - began)


def _refuse_strangers(workflow: Workflow, command: str) -> None:
    """Refuse a fork's code, whatever the workflow was given: it would be deployed with this repository's role."""
    if workflow.whose_is_unknown and command in ("deploy", "diff"):
        raise Refused(
            "unsafe-event",
            f"On {workflow.event_name} nothing says which commit of the pull request is meant, nor whether it is a "
            "fork's, and the job has this repository's role.",
            "Let the workflow run on pull_request.",
        )
    if workflow.from_fork:
        raise Refused(
            "fork-refused",
            "A pull request from a fork has no AWS role here, and must not have one.",
            "Deploy forks by a service: `synth: runner`, and `/deploy` of a maintainer.",
        )


class _Engine:
    """The engine's process: its events go to the log, its last line is the result."""

    def __init__(self, argv: list[str], cwd: Path, env: Mapping[str, str], runner: Runner, timeout: float) -> None:
        self._argv, self._cwd, self._env, self._runner, self._timeout = argv, cwd, env, runner, timeout
        self._log = EventLog(runner)
        self._result: Mapping[str, Any] | None = None
        self._errors: list[str] = []

    def run(self) -> Mapping[str, Any]:
        """Return the result. Raises `Refused` when there is none, `Cancelled` when this step is."""
        process = subprocess.Popen(
            self._argv,
            cwd=self._cwd,
            env=dict(self._env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        late = threading.Event()

        def end_late() -> None:
            late.set()
            process.send_signal(signal.SIGTERM)

        clock = threading.Timer(self._timeout, end_late)
        clock.daemon = True
        clock.start()
        errors = threading.Thread(target=self._read_errors, args=(process,), daemon=True)
        errors.start()
        try:
            self._read(process)
            process.wait()
        except Cancelled:
            self._stop(process)
            raise
        finally:
            clock.cancel()
            errors.join(1)
            self._log.close()
        return self._ended(process.returncode, late=late.is_set())

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        for raw in process.stdout:
            try:
                event = json.loads(raw)
            except ValueError:
                event = None
            if not isinstance(event, dict):
                self._runner.line(raw.decode("utf-8", "replace"), "engine")
            elif event.get("event") == "result":
                self._result = event
            else:
                self._log.write(str(event.get("event")), event)

    def _read_errors(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None  # noqa: S101 - it was asked for
        for raw in process.stderr:
            self._errors = [*self._errors[-49:], raw.decode("utf-8", "replace").rstrip()]

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        """Have the engine stop where the next run can go on, and hear what it says of it."""
        self._runner.line("Cancelled: the engine stops at the next safe point.")
        process.send_signal(signal.SIGTERM)
        clock = threading.Timer(_CANCEL_SECONDS, lambda: os.killpg(process.pid, signal.SIGKILL))
        clock.daemon = True
        clock.start()
        try:
            self._read(process)
            process.wait()
        finally:
            clock.cancel()
        error = (self._result or {}).get("error")
        if isinstance(error, dict):
            self._runner.line(f"{error.get('what')} {error.get('remedy')}")

    def _ended(self, status: int, *, late: bool) -> Mapping[str, Any]:
        if late:
            said = (self._result or {}).get("error")
            going_on = str(said.get("remedy")) if isinstance(said, dict) else ""
            raise Refused(
                "timed-out", f"It took longer than {self._timeout / 60:g} min.", f"Raise `timeout`. {going_on}"
            )
        if self._result is None:
            raise Refused(
                "engine-failed",
                f"The deploy engine ended with status {status} and no result.",
                "What it said is in the log.",
                detail="\n".join(self._errors),
            )
        return self._result


def _result(said: Mapping[str, Any], command: str, start: Result, inputs: Inputs) -> Result:
    if not said.get("ok"):
        error = said.get("error")
        refused = Refused.of(error if isinstance(error, dict) else {})
        status = "cancelled" if refused.id == "interrupted" else "failed"
        return replace(start, status=status, refused=refused)
    outputs = said.get("outputs") if isinstance(said.get("outputs"), dict) else {}
    if command == "remove":
        return replace(start, status="removed", changed=bool(said.get("deleted")))
    if command == "diff":
        return with_plan(start, said.get("plan"))
    unchanged = said.get("unchanged", True)
    url = url_of(shown_outputs(outputs or {}, inputs.outputs))
    status = "unchanged" if unchanged else "succeeded"
    return replace(start, status=status, url=url, outputs=outputs, changed=not unchanged)
