"""Mode 2: run the app's program here, in a job that holds nothing, and leave its assembly for the service to fetch."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from action.app_folder import AppFolder, find_app
from action.assembly import make_fit
from action.checkout import warn_of_kept_token, warn_of_other_commit
from action.env_files import read_env_files
from action.inputs import Inputs
from action.places import place_in
from action.program import inherited, variables
from action.refusal import Place, Refused
from action.runner import Runner
from action.running import run
from action.workflow import Workflow

ARTIFACT = "stagedoor-assembly"
_TAIL = 60
_TAKEN = frozenset({"pull_request", "push"})
"""Events whose workflows' artifacts the service takes (`service/stages/artifact.py`)."""

_PRIVILEGED = frozenset({"pull_request_target", "workflow_run", "issue_comment"})
_CREDENTIALS = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    # What a self-hosted runner's pod, task or host may have: the program would find it, told of it or not.
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


@dataclass(frozen=True)
class Synthesised:
    """An assembly, and what it is called as an artifact."""

    app: str
    stage: str
    artifact: str
    folder: Path


def synthesise(inputs: Inputs, workflow: Workflow, environ: Mapping[str, str], runner: Runner) -> Synthesised:
    """Run the program of the app that is checked out. Raises `Refused`, `Cancelled`."""
    refuse_credentials(workflow, environ)
    root = inputs.root(workflow.workspace)
    warn_of_kept_token(root, runner)
    warn_of_other_commit(root, workflow.commit, runner)
    app = find_app(root, inputs.app, inputs.config, workflow.repository)
    stage = workflow.stage(inputs.stage)
    place = Path(environ.get("RUNNER_TEMP") or root).resolve() / "stagedoor" / app.name
    shutil.rmtree(place, ignore_errors=True)
    output, scratch = place / "cdk.out", place / "scratch"
    output.mkdir(parents=True)
    scratch.mkdir()
    told = variables(app, stage, f"{workflow.host}/{workflow.repository_id}", output, scratch)
    theirs = inherited(environ)
    env = {**theirs, **read_env_files(app.path, app.root, stage, theirs), **told}
    with runner.group(f"Run the program of {app.name} for the stage {stage}"):
        for line in app.lines:
            _run(line, app, env, runner, inputs.timeout)
    if not (output / "manifest.json").is_file():
        raise Refused(
            "synth-wrote-no-assembly",
            f"The app's program ({app.lines[-1]}) ended without an error, and wrote no assembly.",
            "See that it calls synth(), and that it does not set an outdir of its own.",
        )
    make_fit(output, app.name, workflow.commit, stage)
    artifact = f"{ARTIFACT}-{app.name}" if inputs.app else ARTIFACT
    runner.line(f"The assembly of {app.name} is ready; the service fetches {artifact} when this workflow has run.")
    return Synthesised(app.name, stage, artifact, output)


def refuse_credentials(workflow: Workflow, environ: Mapping[str, str]) -> None:
    """Refuse to run a pull request's program in a job that holds what it must not get. Raises `Refused`."""
    if workflow.event_name in _PRIVILEGED:
        raise Refused(
            "unsafe-event",
            f"On {workflow.event_name} a job of a stranger's pull request may hold the repository's secrets and a "
            "token that can write.",
            "Let the workflow run on pull_request.",
        )
    if workflow.event_name not in _TAKEN:
        raise Refused(
            "event-not-taken",
            f"This workflow runs on {workflow.event_name}, and the service takes no assembly from there.",
            "Let it run on pull_request; for the stage of a branch, on push.",
        )
    if environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN"):
        raise Refused(
            "job-holds-credentials",
            "This job may have an identity (id-token: write), and is about to run the pull request's code.",
            "Give the job `permissions: contents: read` and nothing else; wait for the result in another job.",
        )
    held = [name for name in _CREDENTIALS if environ.get(name)]
    if held:
        raise Refused(
            "job-holds-credentials",
            f"This job holds credentials ({', '.join(held)}), and is about to run the pull request's code.",
            "Leave them out of this job: the service deploys, with credentials of its own.",
        )


def _run(line: str, app: AppFolder, env: Mapping[str, str], runner: Runner, timeout: float) -> None:
    printed: deque[str] = deque(maxlen=2_000)

    def on_line(text: str) -> None:
        printed.append(text)
        runner.line(text, "synth")

    status = run(("/bin/sh", "-c", _interpreted(line, app.path)), app.path, env, on_line, timeout)
    if status != 0:
        last = next((text.strip() for text in reversed(printed) if text.strip()), "")
        where: Place | None = place_in(printed, app.path, app.root)
        raise Refused(
            "synth-failed",
            f"The app's program ({line}) ended with status {status}" + (f": {last[:300]}" if last else "."),
            "The same command shows it in the app's folder.",
            detail="\n".join(list(printed)[-_TAIL:]),
            place=where,
        )


def _interpreted(line: str, folder: Path) -> str:
    """Return a command line with `node` before a JavaScript file that is no program of its own, as the CDK CLI does."""
    first, _, rest = line.strip().partition(" ")
    file = folder / first
    if first.endswith(".js") and file.is_file() and not file.stat().st_mode & 0o111:
        return f"node {first} {rest}".rstrip()
    return line
