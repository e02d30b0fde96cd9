"""Plans: what a deploy would do to a stage, without one."""

import asyncio
import json
from collections.abc import AsyncIterator

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload
from starlette.requests import Request
from starlette.responses import Response

from service.access.audit import audit
from service.access.callers import Caller, Right
from service.access.errors import Forbidden, GitHubAway, StageTaken, UnknownPlan, UnknownRun, UnknownStage
from service.api.access import current_access
from service.api.answers import (
    PlanAnswer,
    PlanCancelledAnswer,
    PlanRequestedAnswer,
    PlansAnswer,
    WholePlanAnswer,
)
from service.api.bodies import Page, PlanBody
from service.api.cursor import Cursor
from service.api.door import Door
from service.api.event_stream import event_stream, events, message
from service.api.operation import EVENT_STREAM, declare
from service.api.rows import error_of
from service.api.stages import CommitNotWanted, UnknownAssembly, check_deployable, check_newest
from service.models import AssemblyRow, PlanRow, Run, Stage
from service.parts import current_parts
from service.stages.errors import CommitNotApproved, InvalidCommit, NoAssembly, PromotionRefused, TooManyPlans
from service.stages.plans import cancel_plan as cancel
from service.stages.plans import events_of_plan, request_plan
from service.stages.requests import assembly_of

_READING = (Forbidden, GitHubAway, UnknownPlan)
_WHOLE = joinedload(PlanRow.stage).joinedload(Stage.app)


@declare(
    "POST",
    "/stages/{stage_id}/plans",
    tag="plans",
    status=202,
    problems=(
        Forbidden,
        GitHubAway,
        UnknownStage,
        StageTaken,
        UnknownAssembly,
        UnknownRun,
        InvalidCommit,
        CommitNotApproved,
        CommitNotWanted,
        NoAssembly,
        PromotionRefused,
        TooManyPlans,
    ),
)
def request_stage_plan(caller: Caller, stage_id: int, body: PlanBody) -> PlanRequestedAnswer:
    """Have a deploy of a commit, an assembly, or what a run deployed, compared with a stage. Nothing is changed.

    Follow it with GET /plans/{plan_id}/stream, then read it with GET /plans/{plan_id}.
    """
    access, parts = current_access(), current_parts()
    if body.run:
        access.let_into_run(caller, body.run, Right.READ)
    with parts.sessions() as session:
        commit = body.commit or _commit_of(session, body)
    access.let_into_stage(caller, stage_id, Right.PLAN, commit)
    if body.commit and caller.of_pull_request:
        check_newest(caller, stage_id, body.commit)
    with parts.sessions.begin() as session:
        stage = session.get_one(Stage, stage_id)
        check_deployable(stage)
        plan, is_new = request_plan(
            session, stage, commit=commit or None, assembly=_assembly(session, stage, body), actor=caller.name
        )
        said = {**body.model_dump(exclude_unset=True), "new": is_new}
        audit(session, caller, "plan", stage_id=stage_id, subject=f"plan {plan.id}", data=said)
        return PlanRequestedAnswer(plan=plan.id, stage=stage_id, new=is_new)


@declare("GET", "/stages/{stage_id}/plans", tag="plans", problems=(Forbidden, GitHubAway, UnknownStage))
def list_stage_plans(caller: Caller, stage_id: int, query: Page) -> PlansAnswer:
    """List a stage's plans, newest first."""
    current_access().let_into_stage(caller, stage_id, Right.READ)
    wanted = select(PlanRow).where(PlanRow.stage_id == stage_id).options(_WHOLE)
    if query.before is not None:
        wanted = wanted.where(PlanRow.id < query.before)
    with current_parts().sessions() as session:
        plans = [_answer(plan) for plan in session.scalars(wanted.order_by(PlanRow.id.desc()).limit(query.limit))]
    return PlansAnswer(plans=plans, next=str(plans[-1].id) if len(plans) == query.limit else None)


@declare("GET", "/plans/{plan_id}", tag="plans", problems=_READING)
def get_plan(caller: Caller, plan_id: int) -> WholePlanAnswer:
    """Return a plan."""
    current_access().let_into_plan(caller, plan_id, Right.READ)
    parts = current_parts()
    with parts.sessions() as session:
        row = session.get_one(PlanRow, plan_id, options=[_WHOLE])
        known = _answer(row)
    plan = json.loads(parts.blobs.get(row.blob)) if row.blob else None
    return WholePlanAnswer(**known.model_dump(), plan=plan)


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
    await asyncio.to_thread(door.access.let_into_plan, caller, plan_id, Right.READ)
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
        return _answer(session.get_one(PlanRow, plan_id, options=[_WHOLE]))


def _answer(plan: PlanRow) -> PlanAnswer:
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
