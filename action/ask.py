"""Mode 1: the service deploys the commit, or plans it, and the step follows that and ends as it ends."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from action.event_log import EventLog
from action.http_calls import PASSING, Http, backoff
from action.inputs import Inputs
from action.oidc import id_token
from action.refusal import Cancelled, Refused
from action.runner import Runner
from action.service import API, Service, Token, checked
from action.stream import GIVE_UP_SECONDS, follow
from action.summary import Result, shown_outputs, url_of, with_plan
from action.workflow import Workflow

RACE_SECONDS = 60.0
"""How long a stage may not be there yet: the workflow and the webhook that makes the stage begin at the same moment."""

_EXCHANGES = 5
"""How often an identity is shown to a service that is away."""

_TOO_MANY = 429

_NOT_YET = frozenset({"unknown-stage", "commit-not-wanted"})
"""What the service says before its webhook has come: of a stage that is to be born, and of a commit just pushed."""


def ask(inputs: Inputs, workflow: Workflow, environ: Mapping[str, str], runner: Runner) -> Result:
    """Do what the step's command says, by the service. Raises `Refused`, `Cancelled`."""
    stage = workflow.stage(inputs.stage)
    if inputs.command == "deploy" and workflow.closed:
        workflow.check_own(inputs.stage)
        runner.line("The pull request is closed (or the branch gone): the service removes its stage by itself.")
        return _nothing_done(inputs, workflow, stage, "unchanged")
    service = _service(inputs, environ, runner, stage)
    until = time.monotonic() + inputs.timeout
    if inputs.command == "diff":
        return _compared(service, inputs, workflow, runner, stage, until)
    try:
        found = _stage(service, inputs, workflow, stage, until)
    except Refused as refused:
        if inputs.command == "remove" and refused.id == "unknown-stage":
            runner.line(f"The stage {stage} is not there: nothing to remove.")
            return _nothing_done(inputs, workflow, stage, "removed")
        raise
    if inputs.command == "outputs":
        return _outputs(service, found, inputs, workflow)
    asked = _asked(service, found, inputs, workflow, until)
    began = time.monotonic()
    runner.line(f"Stage {stage}, commit {workflow.commit[:7]}: {_said(asked)}.")
    return _followed(service, found, asked, inputs, workflow, runner, began, until)


def _nothing_done(inputs: Inputs, workflow: Workflow, stage: str, status: str) -> Result:
    app = inputs.app or workflow.repository.rpartition("/")[2]
    return Result(app, stage, status, workflow.commit, workflow.web_url)


def _service(inputs: Inputs, environ: Mapping[str, str], runner: Runner, stage: str) -> Service:
    http = Http()

    def exchange() -> Mapping[str, Any]:
        identity = id_token(environ, inputs.server, http)
        runner.mask(identity)
        body = {"token": identity, "app": inputs.app, "command": inputs.command, "stage": stage}
        wanted = {name: value for name, value in body.items() if value}
        # Each identity is good for one exchange, so an answer that was lost is not asked for again with the same one.
        answer = http.call("POST", f"{inputs.server}{API}/actions/token", wanted, attempts=1)
        if answer.status == 401:
            raise Refused(
                "identity-not-taken",
                f"The service at {inputs.server} does not take this job's identity.",
                "See that `server` is its public URL, and that its GitHub App is installed here; its log says why.",
            )
        if answer.status in PASSING:
            raise Refused(
                "too-many" if answer.status == _TOO_MANY else "no-service",
                f"The service at {inputs.server} answered {answer.status}.",
                "Run this job again later.",
            )
        return checked(answer, inputs.server)

    def patient() -> Mapping[str, Any]:
        until, attempt = time.monotonic() + min(inputs.timeout, GIVE_UP_SECONDS), 0
        while True:
            try:
                return exchange()
            except Refused as refused:
                # Jobs behind one address may be too many in a minute; that passes, and takes longer than a restart.
                last = time.monotonic() >= until if refused.id == "too-many" else attempt == _EXCHANGES - 1
                if refused.id not in ("no-service", "too-many") or last:
                    raise
                time.sleep(backoff(attempt))
                attempt += 1

    return Service(inputs.server, Token(patient, runner.mask), http)


def _stage(service: Service, inputs: Inputs, workflow: Workflow, stage: str, until: float) -> Mapping[str, Any]:
    """Return the stage as the service has it; it may be on its way."""
    query = {"repository": workflow.address, "stage": stage}
    if inputs.app:
        query["app"] = inputs.app
    patience = min(until, time.monotonic() + (0 if inputs.command == "remove" else RACE_SECONDS))
    attempt = 0
    while True:
        refused = Refused(
            "unknown-stage",
            f"The service knows no stage {stage} of {workflow.repository}.",
            "See that its GitHub App is installed here, and what the pull request's comment says of it.",
        )
        try:
            listed = service.get("/stages", **query).get("stages")
            named = [one for one in listed or [] if isinstance(one, dict) and one.get("name") == stage]
            if len(named) > 1:
                apps = ", ".join(sorted(str(one.get("app")) for one in named))
                raise Refused("several-apps", f"This repository has several apps: {apps}.", "Name one with `app`.")
            if named:
                return named[0]
        except Refused as said:
            if said.id not in _NOT_YET:
                raise
            refused = said
        if time.monotonic() >= patience:
            raise refused
        time.sleep(min(4.0, 0.25 * 2**attempt))
        attempt = min(attempt + 1, 8)


def _asked(
    service: Service, found: Mapping[str, Any], inputs: Inputs, workflow: Workflow, until: float
) -> Mapping[str, Any]:
    """Ask for the deploy or the removal."""
    path = f"/stages/{quote(str(found.get('id')), safe='')}"
    if inputs.command == "remove":
        return service.post(f"{path}/removals")
    return _when_known(service, f"{path}/deploys", {"commit": workflow.commit}, until)


def _when_known(service: Service, path: str, body: Mapping[str, Any], until: float) -> Mapping[str, Any]:
    """Ask for something about a stage or a commit that the service may not have heard of yet."""
    patience = min(until, time.monotonic() + RACE_SECONDS)
    while True:
        try:
            return service.post(path, body)
        except Refused as refused:
            if refused.id not in _NOT_YET or time.monotonic() >= patience:
                raise
        time.sleep(2)


def _followed(
    service: Service,
    found: Mapping[str, Any],
    asked: Mapping[str, Any],
    inputs: Inputs,
    workflow: Workflow,
    runner: Runner,
    began: float,
    until: float,
) -> Result:
    log, run = EventLog(runner), None
    number, generation = (quote(str(each), safe="") for each in (found.get("id"), asked.get("generation")))
    try:
        for sent in follow(service, f"/stages/{number}/stream?generation={generation}", until):
            if sent.kind == "end":
                log.close()
                return _result(sent.data, found, inputs, workflow, service, time.monotonic() - began)
            if sent.kind == "run":
                run = sent.data
                runner.line(f"Run {run}: {sent.data.get('page') or ''}")
            else:
                log.write(sent.kind, sent.data)
    except Cancelled:
        log.close()
        _cancel(service, number, run, inputs, workflow, runner)
        raise
    raise AssertionError("a stream ends with its end")


def _cancel(
    service: Service,
    number: str,
    run: Mapping[str, Any] | None,
    inputs: Inputs,
    workflow: Workflow,
    runner: Runner,
) -> None:
    """Have the run that goes on cancelled, if it is this job's: a newer commit's is the newer job's to cancel. There
    are a few seconds for it, so nothing is tried twice.
    """
    try:
        if run is None:
            newest = checked(service.answer("GET", f"/stages/{number}", attempts=1), service.url).get("run")
            run = newest if isinstance(newest, dict) and newest.get("outcome") is None else None
        if run is None:
            runner.line("No run of the stage has begun: there is nothing to cancel.")
            return
        if run.get("kind") != inputs.command or (inputs.command == "deploy" and run.get("commit") != workflow.commit):
            runner.line(f"Run {run.get('id')} goes on: it is for something newer than this job.")
            return
        service.post(f"/runs/{quote(str(run.get('id')), safe='')}/cancel", attempts=1)
        runner.line("The service was told to cancel the run; CloudFormation is not left half-way.")
    except Refused as refused:
        runner.line(f"The run could not be cancelled: {refused}")


def _compared(service: Service, inputs: Inputs, workflow: Workflow, runner: Runner, stage: str, until: float) -> Result:
    """Have the commit compared with the stage. What CloudFormation would refuse is a failure."""
    log, began, commit = EventLog(runner), time.monotonic(), workflow.compared_commit(stage)
    body = {"repository": workflow.address, "app": inputs.app, "stage": stage, "commit": commit}
    asked = _when_known(service, "/plans", {name: value for name, value in body.items() if value}, until)
    number = quote(str(asked.get("plan")), safe="")
    runner.line(f"Stage {stage}, commit {commit[:7]}: the service compares, and changes nothing.")
    end: Mapping[str, Any] = {}
    try:
        for sent in follow(service, f"/plans/{number}/stream", until):
            if sent.kind == "end":
                end = sent.data
            elif sent.kind == "plan":
                runner.line(f"Plan {sent.data.get('id')}: {sent.data.get('page') or ''}")
            else:
                log.write(sent.kind, sent.data)
    except Cancelled:
        _cancel_plan(service, number, runner)
        raise
    finally:
        log.close()
    status, said = str(end.get("outcome") or "errored"), end.get("error")
    whole = service.get(f"/plans/{number}")
    page = str(whole.get("page") or "")
    result = Result(
        app=str(whole.get("app") or inputs.app),
        stage=stage,
        status=status,
        commit=commit,
        web_url=workflow.web_url,
        run_url=page,
        seconds=time.monotonic() - began,
        refused=Refused.of(said) if isinstance(said, dict) else _ended(status),
    )
    return result if result.refused else with_plan(result, whole.get("plan"), page)


def _cancel_plan(service: Service, number: str, runner: Runner) -> None:
    try:
        service.post(f"/plans/{number}/cancel", attempts=1)
        runner.line("The service was told to compare no further.")
    except Refused as refused:
        runner.line(f"The comparison could not be cancelled: {refused}")


def _result(
    end: Mapping[str, Any],
    found: Mapping[str, Any],
    inputs: Inputs,
    workflow: Workflow,
    service: Service,
    took: float,
) -> Result:
    """Return what the end of a stream says. A deploy that a newer wish has overtaken is none of this commit."""
    status = str(end.get("outcome") or "errored")
    if inputs.command == "deploy" and end.get("commit") not in (None, workflow.commit):
        status = "superseded"  # a later push came between, and it is its commit that answers
    if inputs.command == "remove" and status in ("succeeded", "unchanged"):
        status = "removed"
    outputs = end.get("outputs") if isinstance(end.get("outputs"), dict) and status != "superseded" else {}
    said = end.get("error")
    run_id = end.get("run")
    url = str(end.get("url") or "") or url_of(shown_outputs(outputs or {}, inputs.outputs))
    return Result(
        app=str(found.get("app") or inputs.app),
        stage=str(found.get("name")),
        status=status,
        commit=workflow.commit,
        web_url=workflow.web_url,
        run_url=f"{service.url}/runs/{run_id}" if run_id is not None else "",
        url=url if status in ("succeeded", "unchanged") else "",
        outputs=outputs,
        seconds=took,
        changed=bool(end.get("changed")),
        refused=Refused.of(said) if isinstance(said, dict) and status != "superseded" else _ended(status),
    )


def _ended(status: str) -> Refused | None:
    words = {
        "superseded": ("superseded", "A newer commit took this one's place.", "Its own run has the result."),
        "cancelled": ("cancelled", "The run was cancelled.", "Ask for it again with `/deploy`, or run this job again."),
        "failed": ("failed", "The run failed.", "Its log says why."),
        "errored": ("errored", "The service itself failed.", "Its operator finds more in its log."),
        "lost": ("errored", "The run was lost.", "Run this job again."),
        "refused": ("nothing-to-run", "There was nothing to run.", "The pull request's comment says why."),
    }
    return Refused(*words[status]) if status in words else None


def _outputs(service: Service, found: Mapping[str, Any], inputs: Inputs, workflow: Workflow) -> Result:
    said = service.get(f"/stages/{quote(str(found.get('id')), safe='')}/outputs").get("outputs")
    outputs = said if isinstance(said, dict) else {}
    return Result(
        app=str(found.get("app") or inputs.app),
        stage=str(found.get("name")),
        status="unchanged",
        commit=str(found.get("commit") or workflow.commit),
        web_url=workflow.web_url,
        run_url="",
        url=str(found.get("url") or "") or url_of(shown_outputs(outputs, inputs.outputs)),
        outputs=outputs,
    )


def _said(asked: Mapping[str, Any]) -> str:
    return "the service begins" if asked.get("new") else "the service is at it already"
