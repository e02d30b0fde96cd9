"""Stages: what they are, and what is wanted of them."""

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.access.audit import audit
from service.access.callers import Caller, Right
from service.access.errors import AccessError, Forbidden, GitHubAway, StageTaken, UnknownRun, UnknownStage
from service.access.reach import pull_number
from service.api.access import current_access
from service.api.answers import OutputsAnswer, RequestedAnswer, RunsAnswer, StageAnswer, StagesAnswer
from service.api.bodies import DeployBody, Page, RunBody, StageQuery
from service.api.operation import declare
from service.api.rows import run_answer, runs_of, stage_answer, stage_answers, stages_of
from service.models import AssemblyRow, Run, SourceKind, Stage, StageKind
from service.parts import current_parts
from service.stages.errors import (
    CommitNotApproved,
    InvalidCommit,
    NoAssembly,
    PromotionRefused,
    RunOfOtherStage,
    StageProtected,
)
from service.stages.intents import newest_intent
from service.stages.requests import (
    Requested,
    promote,
    request_assembly,
    request_deploy,
    request_removal,
    roll_back,
    touch_source,
)

_BRANCH = "refs/heads/"

_READING = (Forbidden, GitHubAway, UnknownStage)
_ASKING = (*_READING, StageTaken)


class UnknownAssembly(AccessError):
    """There is no such assembly of this app."""

    id = "unknown-assembly"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such assembly of this stage's app.", "Upload one with POST /api/v1/assemblies.")


class CommitNotWanted(AccessError):
    """A pull request's workflow asks for another commit than the pull request's newest."""

    id = "commit-not-wanted"
    status = 409

    def __init__(self, commit: str) -> None:
        super().__init__(
            f"The pull request's newest commit, as the service knows it, is another than {commit[:12]}.",
            "If it was just pushed, ask again in a moment.",
        )


@declare("GET", "/stages", tag="stages", problems=_READING)
def list_stages(caller: Caller, query: StageQuery) -> StagesAnswer:
    """List a repository's stages, newest first.

    With a `stage` that is not there the answer is 404: a stage is born a moment after its pull request was opened.
    """
    access, parts = current_access(), current_parts()
    repository_id = access.let_into_repository(caller, query.repository, query.stage, Right.READ)
    with parts.sessions() as session:
        found = stages_of(session, repository_id, query.app, query.stage, query.before, query.limit)
        answers = stage_answers(session, found, parts.settings.url)
    if query.stage is not None and not found:
        if caller.run is not None:
            with parts.sessions.begin() as session:
                have_github_asked(session, repository_id, caller.run.ref)
        raise UnknownStage(query.stage)
    shown = [one for one in answers if access.callers.may(caller, repository_id, one.name, Right.READ)]
    following = str(found[-1].id) if len(found) == query.limit else None
    return StagesAnswer(stages=shown, next=following)


@declare("GET", "/stages/{stage_id}", tag="stages", problems=_READING)
def get_stage(caller: Caller, stage_id: int) -> StageAnswer:
    """Return a stage."""
    return _stage(caller, stage_id)


@declare("GET", "/stages/{stage_id}/outputs", tag="stages", problems=_READING)
def get_outputs(caller: Caller, stage_id: int) -> OutputsAnswer:
    """Return what a deployed stage tells."""
    stage = _stage(caller, stage_id)
    return OutputsAnswer(outputs=stage.outputs, url=stage.url)


@declare("GET", "/stages/{stage_id}/runs", tag="runs", problems=_READING)
def list_stage_runs(caller: Caller, stage_id: int, query: Page) -> RunsAnswer:
    """List a stage's runs, newest first."""
    current_access().let_into_stage(caller, stage_id, Right.READ)
    parts = current_parts()
    with parts.sessions() as session:
        found = runs_of(session, [Run.stage_id == stage_id], query.before, query.limit)
        runs = [run_answer(run, parts.settings.url) for run in found]
    return RunsAnswer(runs=runs, next=str(runs[-1].id) if len(runs) == query.limit else None)


@declare(
    "POST",
    "/stages/{stage_id}/deploys",
    tag="stages",
    status=202,
    problems=(
        *_ASKING,
        UnknownAssembly,
        InvalidCommit,
        CommitNotApproved,
        CommitNotWanted,
        NoAssembly,
        PromotionRefused,
    ),
)
def request_stage_deploy(caller: Caller, stage_id: int, body: DeployBody) -> RequestedAnswer:
    """Have a stage brought to a commit, or to an assembly that was uploaded.

    What is wanted already is not done twice, unless `again` says so. Follow it with GET /stages/{stage_id}/stream.
    """

    commit = body.commit or _commit_of(AssemblyRow, body.assembly)
    if body.commit and caller.of_pull_request:
        _check_newest(caller, stage_id, body.commit)

    def ask(session: Session, stage: Stage) -> Requested:
        if body.commit:
            return request_deploy(session, stage, body.commit, actor=caller.name, again=body.again)
        assembly = session.get(AssemblyRow, body.assembly)
        if assembly is None or assembly.app_id != stage.app_id:
            raise UnknownAssembly
        return request_assembly(session, stage, assembly, actor=caller.name, cause="requested")

    said = body.model_dump(exclude_unset=True)
    return _requested(caller, stage_id, Right.DEPLOY, "deploy", said, ask, commit)


@declare("POST", "/stages/{stage_id}/removals", tag="stages", status=202, problems=(*_ASKING, StageProtected))
def request_stage_removal(caller: Caller, stage_id: int) -> RequestedAnswer:
    """Have a stage taken away, with its data."""
    return _requested(
        caller,
        stage_id,
        Right.REMOVE,
        "remove",
        {},
        lambda session, stage: request_removal(session, stage, actor=caller.name),
    )


@declare(
    "POST",
    "/stages/{stage_id}/rollbacks",
    tag="stages",
    status=202,
    problems=(*_ASKING, UnknownRun, NoAssembly, PromotionRefused, RunOfOtherStage),
)
def request_rollback(caller: Caller, stage_id: int, body: RunBody) -> RequestedAnswer:
    """Bring a stage back to what one of its earlier runs deployed: that assembly once more, without a synth."""

    def ask(session: Session, stage: Stage) -> Requested:
        return roll_back(session, stage, _run(session, body.run), actor=caller.name)

    commit = _commit_of(Run, body.run)
    return _requested(caller, stage_id, Right.DEPLOY, "roll-back", {"run": body.run}, ask, commit)


@declare(
    "POST",
    "/stages/{stage_id}/promotions",
    tag="stages",
    status=202,
    problems=(*_ASKING, UnknownRun, NoAssembly, PromotionRefused),
)
def request_promotion(caller: Caller, stage_id: int, body: RunBody) -> RequestedAnswer:
    """Bring this stage to what a run of another stage of the same app deployed, without a synth.

    Trust is never crossed: what was made for a preview does not reach production.
    """
    current_access().let_into_run(caller, body.run, Right.READ)

    def ask(session: Session, stage: Stage) -> Requested:
        return promote(session, _run(session, body.run), stage, actor=caller.name)

    commit = _commit_of(Run, body.run)
    return _requested(caller, stage_id, Right.DEPLOY, "promote", {"run": body.run}, ask, commit)


def _stage(caller: Caller, stage_id: int) -> StageAnswer:
    current_access().let_into_stage(caller, stage_id, Right.READ)
    parts = current_parts()
    with parts.sessions() as session:
        found = stage_answer(session, stage_id, parts.settings.url)
    if found is None:
        raise UnknownStage(str(stage_id))
    return found


def check_deployable(stage: Stage) -> None:
    """Raise `StageTaken` for a stage that a developer deploys, not the service."""
    if stage.kind is StageKind.PERSONAL:
        raise StageTaken(
            f"The stage {stage.name} is {stage.owner}'s own: the service does not deploy it.",
            "Its developer deploys it with `stagedoor deploy` or `stagedoor dev`.",
        )


def _check_newest(caller: Caller, stage_id: int, commit: str) -> None:
    """Raise `CommitNotWanted` where the commit of a workflow is not the one that its pull request's stage is to have.

    A job of an older commit that starts late must not set a preview back; and the webhook of a newer one may be late.
    """
    current_access().let_into_stage(caller, stage_id, Right.DEPLOY, commit)
    with current_parts().sessions() as session:
        stage = session.get_one(Stage, stage_id)
        newest = newest_intent(session, stage)
        repository_id = stage.app.repository_id
        is_pull = stage.source is not None and stage.source.kind is SourceKind.PULL
    if is_pull and newest is not None and newest.commit != commit and caller.run is not None:
        with current_parts().sessions.begin() as session:
            have_github_asked(session, repository_id, caller.run.ref)
        raise CommitNotWanted(commit)


def have_github_asked(session: Session, repository_id: int, ref: str) -> None:
    """Have a worker ask GitHub about a workflow's pull request or branch: a workflow may be faster than a webhook."""
    number = pull_number(ref)
    branch = ref.removeprefix(_BRANCH) if ref.startswith(_BRANCH) else ""
    if number is not None:
        touch_source(session, repository_id, SourceKind.PULL, str(number))
    elif branch:
        touch_source(session, repository_id, SourceKind.BRANCH, branch)


def _commit_of(table: type[Run] | type[AssemblyRow], row_id: int) -> str:
    """Return the commit of a run or an assembly, or "": a branch's workflow deploys its own commit only."""
    with current_parts().sessions() as session:
        return session.scalar(select(table.commit).where(table.id == row_id)) or ""


def _run(session: Session, run_id: int) -> Run:
    run = session.get(Run, run_id)
    if run is None:
        raise UnknownRun(run_id)
    return run


def _requested(
    caller: Caller,
    stage_id: int,
    right: Right,
    action: str,
    data: dict[str, object],
    ask: Callable[[Session, Stage], Requested],
    commit: str | None = None,
) -> RequestedAnswer:
    """Have something wanted of a stage that the service deploys, and write down who did. `commit` as in
    `Callers.check`.
    """
    current_access().let_into_stage(caller, stage_id, right, commit)
    with current_parts().sessions.begin() as session:
        stage = session.get_one(Stage, stage_id)
        check_deployable(stage)
        requested = ask(session, stage)
        audit(session, caller, action, stage_id=stage_id, data={**data, "generation": requested.generation})
    return RequestedAnswer(stage=stage_id, generation=requested.generation, new=requested.new)
