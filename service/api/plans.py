"""Plans: what a deploy would do to a stage, without one."""

import asyncio
from collections.abc import AsyncIterator

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload
from starlette.requests import Request
from starlette.responses import Response

from service.access.audit import audit
from service.access.callers import Caller, Right
from service.access.errors import Forbidden, GitHubAway, SeveralApps, StageTaken, UnknownPlan, UnknownRun, UnknownStage
from service.access.reach import pull_number
from service.access.tokens import RunToken
from service.api.access import current_access
from service.api.answers import (
    PlanAnswer,
    PlanCancelledAnswer,
    PlanRequestedAnswer,
    PlansAnswer,
    WholePlanAnswer,
)
from service.api.bodies import MOST_LISTED, Page, PlanBody
from service.api.cursor import Cursor
from service.api.door import Door
from service.api.event_stream import event_stream, events, message
from service.api.operation import EVENT_STREAM, declare
from service.api.rows import error_of, stages_of
from service.api.stages import CommitNotWanted, UnknownAssembly, check_deployable, have_github_asked
from service.models import AssemblyRow, PlanRow, Run, Source, SourceKind, Stage, StageKind
from service.parts import current_parts
from service.stages.errors import (
    CommitNotApproved,
    DiffByWorkflow,
    InvalidCommit,
    NoAssembly,
    PromotionRefused,
    TooManyPlans,
)
from service.stages.intents import newest_intent
from service.stages.plans import cancel_plan as cancel
from service.stages.plans import events_of_plan, read_plan
from service.stages.plans import request_plan as request
from service.stages.requests import assembly_of

_READING = (Forbidden, GitHubAway, UnknownPlan)
_WHOLE = joinedload(PlanRow.stage).joinedload(Stage.app)


@declare(
    "POST",
    "/plans",
    tag="plans",
    status=202,
    problems=(
        Forbidden,
        GitHubAway,
        UnknownStage,
        SeveralApps,
        StageTaken,
        UnknownAssembly,
        UnknownRun,
        InvalidCommit,
        CommitNotApproved,
        CommitNotWanted,
        NoAssembly,
        PromotionRefused,
        DiffByWorkflow,
        TooManyPlans,
    ),
)
def request_plan(caller: Caller, body: PlanBody) -> PlanRequestedAnswer:
    """Have a stage compared with a deploy of a commit, of an assembly, or of what a run deployed. Nothing is changed.

    Follow it with GET /plans/{plan_id}/stream, then read it with GET /plans/{plan_id}.
    """
    access, parts = current_access(), current_parts()
    if body.run:
        access.let_into_run(caller, body.run, Right.READ)
    with parts.sessions() as session:
        commit = body.commit or _commit_of(session, body)
    repository_id = access.let_into_repository(caller, body.repository, body.stage, Right.PLAN, commit)
    run = caller.run
    if body.commit and run is not None and caller.of_pull_request:
        _check_newest(run, repository_id, body.commit)
    if run is not None:  # a branch's has its own commit compared, which the service deploys by itself
        unmerged = caller.of_pull_request
    else:
        unmerged = not access.callers.may(caller, repository_id, body.stage, Right.DEPLOY)
    stage_id = _stage(caller, repository_id, body)
    with parts.sessions.begin() as session:
        stage = session.get_one(Stage, stage_id)
        check_deployable(stage)
        if body.commit:
            _check_makes_assembly(session, caller, stage)
        plan, is_new = request(
            session,
            stage,
            commit=commit or None,
            assembly=_assembly(session, stage, body),
            actor=caller.name,
            unmerged=unmerged,
        )
        said = {**body.model_dump(exclude_unset=True, include={"commit", "assembly", "run"}), "new": is_new}
        audit(session, caller, "plan", stage_id=stage.id, subject=f"plan {plan.id}", data=said)
        return PlanRequestedAnswer(plan=plan.id, stage=stage.id, new=is_new)


@declare("GET", "/stages/{stage_id}/plans", tag="plans", problems=(Forbidden, GitHubAway, UnknownStage))
def list_stage_plans(caller: Caller, stage_id: int, query: Page) -> PlansAnswer:
    """List a stage's plans, newest first."""
    current_access().let_into_stage(caller, stage_id, Right.READ)
    wanted = select(PlanRow).where(PlanRow.stage_id == stage_id).options(_WHOLE)
    if query.before is not None:
        wanted = wanted.where(PlanRow.id < query.before)
    parts = current_parts()
    with parts.sessions() as session:
        found = session.scalars(wanted.order_by(PlanRow.id.desc()).limit(query.limit))
        plans = [_answer(plan, parts.settings.url) for plan in found]
    return PlansAnswer(plans=plans, next=str(plans[-1].id) if len(plans) == query.limit else None)


@declare("GET", "/plans/{plan_id}", tag="plans", problems=_READING)
def get_plan(caller: Caller, plan_id: int) -> WholePlanAnswer:
    """Return a plan."""
    current_access().let_into_plan(caller, plan_id, Right.READ)
    parts = current_parts()
    with parts.sessions() as session:
        row = session.get_one(PlanRow, plan_id, options=[_WHOLE])
        known = _answer(row, parts.settings.url)
    return WholePlanAnswer(**known.model_dump(), plan=read_plan(parts.blobs, row))


@declare("POST", "/plans/{plan_id}/cancel", tag="plans", status=202, problems=_READING)
def cancel_plan(caller: Caller, plan_id: int) -> PlanCancelledAnswer:
    """Have a plan not made."""
    stage_id = current_access().let_into_plan(caller, plan_id, Right.PLAN)
    with current_parts().sessions.begin() as session:
        cancelled = cancel(session, session.get_one(PlanRow, plan_id))
        audit(session, caller, "cancel", stage_id=stage_id, subject=f"plan {plan_id}", data={"cancelled": cancelled})
    return PlanCancelledAnswer(plan=plan_id, cancelled=cancelled)


@declare("GET", "/plans/{plan_id}/stream", tag="plans", answer=EVENT_STREAM, problems=_READING)
async def stream_plan(door: Door, request: Request, caller: Caller, plan_id: int) -> Response:
    """Follow a plan as it is made.

    First an event `plan` with the plan; then what is said, as in GET /runs/{run_id}/stream; last an event `end`:
    outcome, plan, stage, commit, changed, error.
    """
    await door.asking(door.access.let_into_plan, caller, plan_id, Right.READ)
    place = Cursor.read(request.headers.get("last-event-id"))

    async def said() -> AsyncIterator[str]:
        if place is None or place.about != plan_id:
            known = await asyncio.to_thread(_read, door, plan_id)
            yield message("plan", known.model_dump_json(), Cursor(plan_id))
        cursor = place if place and place.about == plan_id else Cursor(plan_id)
        async for one in events(door, events_of_plan(plan_id), cursor, lambda: door.glances.plan_is_over(plan_id)):
            yield one
        yield message("end", _end(await asyncio.to_thread(_read, door, plan_id)))

    return event_stream(request, said())


def _stage(caller: Caller, repository_id: int, body: PlanBody) -> int:
    """Return the id of the stage that is named. Raises `UnknownStage` and `SeveralApps`."""
    with current_parts().sessions.begin() as session:
        found = stages_of(session, repository_id, body.app, body.stage, None, MOST_LISTED)
        apps = [stage.app.name for stage in found]
        if not found and caller.run is not None:
            have_github_asked(session, repository_id, caller.run.ref)
    if not found:
        raise UnknownStage(body.stage)
    if len(found) > 1:
        raise SeveralApps(body.stage, apps)
    return found[0].id


def _check_newest(run: RunToken, repository_id: int, commit: str) -> None:
    """Raise `CommitNotWanted` where the commit is neither the newest of the pull request whose workflow asks, nor the
    merge that GitHub says this run is of.

    All that was ever pushed to a repository or one of its forks can be fetched by its id.
    """
    if run.sha == commit:
        return
    pull = (Source.repository_id == repository_id, Source.kind == SourceKind.PULL)
    with current_parts().sessions.begin() as session:
        newest = session.scalar(select(Source.head_sha).where(*pull, Source.ref == str(pull_number(run.ref))))
        if newest != commit:
            have_github_asked(session, repository_id, run.ref)
    if newest != commit:
        raise CommitNotWanted(commit)


def _check_makes_assembly(session: Session, caller: Caller, stage: Stage) -> None:
    """Raise `DiffByWorkflow` where a workflow of another ref than the caller's would make the assembly."""
    newest = newest_intent(session, stage)
    is_another = caller.of_pull_request and stage.kind is not StageKind.PREVIEW
    if is_another and newest is not None and newest.settings.get("synth") == "actions":
        raise DiffByWorkflow(
            f"The assemblies of the stage {stage.name} are made by the workflow of its own branch.",
            "Compare in a job with an AWS role of its own, without `server`.",
        )


def _commit_of(session: Session, body: PlanBody) -> str:
    """Return the commit of the run or assembly that a stage is to be compared with; empty where it is not known."""
    table, row_id = (Run, body.run) if body.run else (AssemblyRow, body.assembly)
    return session.scalar(select(table.commit).where(table.id == row_id)) or ""


def _assembly(session: Session, stage: Stage, body: PlanBody) -> AssemblyRow | None:
    if body.run:
        return assembly_of(session, session.get_one(Run, body.run))
    if not body.assembly:
        return None
    found = session.get(AssemblyRow, body.assembly)
    if found is None or found.app_id != stage.app_id:
        raise UnknownAssembly
    return found


def _read(door: Door, plan_id: int) -> PlanAnswer:
    with door.parts.sessions() as session:
        return _answer(session.get_one(PlanRow, plan_id, options=[_WHOLE]), door.parts.settings.url)


def _answer(plan: PlanRow, url: str) -> PlanAnswer:
    return PlanAnswer(
        id=plan.id,
        stage=plan.stage_id,
        stage_name=plan.stage.name,
        app=plan.stage.app.name,
        commit=plan.commit,
        assembly=plan.assembly_id,
        actor=plan.actor,
        phase=plan.phase,
        outcome=plan.outcome,
        waits_for=plan.blocked_reason if plan.outcome is None else None,
        error=error_of(plan.error),
        created_at=plan.created_at,
        finished_at=plan.finished_at,
        page=f"{url}/plans/{plan.id}",
    )


def _end(plan: PlanAnswer) -> dict[str, object]:
    return {
        "outcome": plan.outcome,
        "plan": plan.id,
        "stage": plan.stage,
        "commit": plan.commit,
        "changed": plan.outcome == "succeeded",
        "error": plan.error.model_dump() if plan.error else None,
    }
