"""What a reconciler reads and writes of a stage's rows, each in one short transaction under the stage's fence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.database import Sessions, now
from service.models import (
    Intent,
    Outcome,
    Run,
    RunKind,
    RunStep,
    Stage,
    StageStack,
    Want,
)
from service.relay.registry import LiveFunction, register
from service.stages.decide import StageView, retry_after
from service.stages.intents import repeat_intent
from service.stages.job import Job, Wanted, read_job, run_name
from service.stages.lease import Lease
from service.stages.run import Result
from service.stages.waiting import next_look

REMOVALS_TRIED = 12  # over more than an hour: AWS takes up to 40 minutes to let go of a function's network interfaces
FINAL = frozenset({Outcome.SUCCEEDED, Outcome.UNCHANGED, Outcome.FAILED, Outcome.CANCELLED})


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that has been written down, and the job that it does. `workflows` counts what was heard of the source's."""

    run: Run
    job: Job
    workflows: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is wanted of a run's stage at this moment, and whether somebody asked to cancel the run."""

    wanted_generation: int
    want: Want
    cancel_requested: bool


def view_of(lease: Lease) -> tuple[StageView, datetime]:
    """Return what the decision needs to know, and the database's time."""
    with lease.fenced() as (session, stage):
        intent = _wanted(session, stage)
        return (
            StageView(
                stage.wanted_generation,
                stage.done_generation,
                intent.want if intent else Want.GONE,
                stage.protected,
                stage.not_before,
            ),
            now(session),
        )


def begin_run(lease: Lease, kind: RunKind) -> Begun:
    """Write down that a run begins, for what is wanted at this moment; one that waits for that is gone on with."""
    with lease.fenced() as (session, stage):
        intent = _wanted(session, stage)
        if intent is None:
            raise ValueError(f"stage {stage.id} has no intent")
        moment = now(session)
        run = _waiting(session, stage, intent.generation, moment)
        if run is None:
            run = Run(
                stage_id=stage.id,
                intent_id=intent.id,
                generation=intent.generation,
                kind=kind,
                commit=intent.commit,
                assembly_id=intent.assembly_id,
                started_at=moment,
                **_asked_to_end(session, stage, intent.generation),
            )
            session.add(run)
        run.fence = lease.fence
        session.flush()
        wanted = Wanted(
            intent.want, intent.commit, intent.assembly_id, intent.settings, intent.approval, run.started_at
        )
        agent = f"stagedoor-run/{run.id} stagedoor-generation/{run.generation}"
        job = read_job(session, stage, wanted, name=run_name(run.id), user_agent=agent)
        return Begun(run, job, stage.source.workflow_generation if stage.source else 0)


def _waiting(session: Session, stage: Stage, generation: int, moment: datetime) -> Run | None:
    """Return the stage's run that waits for this generation. Those that wait for older ones are over."""
    waiting = select(Run).where(Run.stage_id == stage.id, Run.outcome.is_(None), Run.blocked_reason.is_not(None))
    found = None
    for run in session.scalars(waiting):
        if run.generation == generation:
            found = run
        else:
            run.outcome, run.finished_at, run.blocked_reason = Outcome.SUPERSEDED, moment, None
    return found


def _asked_to_end(session: Session, stage: Stage, generation: int) -> dict[str, Any]:
    """Return the wish to cancel that the run before this one did not live to see."""
    before = session.scalars(
        select(Run).where(Run.stage_id == stage.id, Run.generation == generation).order_by(Run.id.desc()).limit(1)
    ).one_or_none()
    if before is None or before.outcome is not Outcome.LOST or not before.cancel_requested:
        return {}
    return {"cancel_requested": True, "cancelled_by": before.cancelled_by}


def block_run(lease: Lease, begun: Begun, reason: str, first_look_seconds: float) -> bool:
    """Write down what a run waits for, and when it is looked for again; return whether that is news."""
    with lease.fenced() as (session, stage):
        run = session.get_one(Run, begun.run.id)
        moment = now(session)
        is_news = run.blocked_reason != reason
        again = next_look(run.started_at, moment, first_look_seconds)
        # While GitHub was asked, somebody may have asked for another look or for an end, or a workflow may have ended.
        asked = run.not_before != begun.run.not_before
        heard = stage.source is not None and stage.source.workflow_generation > begun.workflows
        run.blocked_reason, run.not_before = reason, again
        stage.not_before = None if asked or heard or run.cancel_requested else again
        return is_news


def close_lost_runs(lease: Lease) -> None:
    """Say of runs whose process died that they are lost; what they began in AWS is joined by the next one."""
    with lease.fenced() as (session, stage):
        session.execute(
            update(Run)
            .where(Run.stage_id == stage.id, Run.outcome.is_(None), Run.fence < lease.fence)
            .where(Run.blocked_reason.is_(None))
            .values(outcome=Outcome.LOST, finished_at=now(session))
        )


def note_phase(lease: Lease, run_id: int, name: str, seconds: float | None) -> None:
    """Write down where a run is, and how long the phase took that it has left."""
    with lease.fenced() as (session, _stage):
        run = session.get_one(Run, run_id)
        run.phase, run.blocked_reason, run.not_before = name, None, None
        if seconds is not None:
            run.seconds = {**run.seconds, name: round(seconds, 3)}


def standing(lease: Lease, run_id: int) -> Standing:
    """Return how a run stands to what is wanted now."""
    with lease.fenced() as (session, stage):
        intent = _wanted(session, stage)
        return Standing(
            stage.wanted_generation,
            intent.want if intent else Want.GONE,
            session.get_one(Run, run_id).cancel_requested,
        )


def finish_run(
    lease: Lease,
    begun: Begun,
    outcome: Outcome,
    *,
    error: Mapping[str, Any] | None = None,
    warnings: Sequence[Any] = (),
    result: Result | None = None,
    first_retry_seconds: float = 5.0,
) -> None:
    """Write down how a run ended, and with it what the stage now is: one transaction, so that both are true or none."""
    with lease.fenced() as (session, stage):
        moment = now(session)
        run = session.get_one(Run, begun.run.id)
        run.outcome, run.finished_at, run.blocked_reason = outcome, moment, None
        run.error = dict(error) if error else None
        run.warnings = list(warnings)
        stage.last_activity_at = moment
        tried_again = outcome is Outcome.ERRORED or _is_removal_to_try_again(stage, run)
        if outcome in FINAL and not tried_again:
            stage.done_generation = max(stage.done_generation, run.generation)
            stage.attempts, stage.not_before = 0, None
        elif tried_again:
            stage.attempts += 1
            stage.not_before = moment + retry_after(stage.attempts, first_retry_seconds)
        if outcome in {Outcome.SUCCEEDED, Outcome.UNCHANGED}:
            _write_actual(session, stage, begun.job, result, moment)


def _is_removal_to_try_again(stage: Stage, run: Run) -> bool:
    """Tell whether a removal that AWS would not let through may go through later.

    Whoever wanted the stage has gone: nobody else would try, and what is left costs money.
    """
    is_failed_removal = run.kind is RunKind.REMOVE and run.outcome is Outcome.FAILED
    return is_failed_removal and stage.attempts + 1 < REMOVALS_TRIED


def doubt_run(sessions: Sessions, run: Run) -> bool:
    """Have the run's stage looked at once more, when the lease was lost with a changing call under way.

    The call may have been sent in the moment between the last look at the clock and the packet, and have reached AWS
    after a successor's. Whoever comes next compares the stage with AWS and puts right what it did.
    """
    with sessions.begin() as session:
        stage = session.scalars(select(Stage).where(Stage.id == run.stage_id).with_for_update()).one()
        open_step = session.scalars(
            select(RunStep.id).where(RunStep.run_id == run.id, RunStep.outcome.is_(None)).limit(1)
        ).one_or_none()
        if open_step is None:
            return False
        repeat_intent(session, stage, cause="doubted")
        return True


def refuse(lease: Lease, generation: int) -> None:
    """Write down that a protected stage stays although it is not wanted any more."""
    with lease.fenced() as (session, stage):
        _waiting(session, stage, generation, now(session))
        stage.done_generation = max(stage.done_generation, generation)


def _write_actual(session: Session, stage: Stage, job: Job, result: Result | None, moment: datetime) -> None:
    drifts = {row.name: row.drift for row in session.scalars(select(StageStack).where(StageStack.stage_id == stage.id))}
    session.execute(delete(StageStack).where(StageStack.stage_id == stage.id))
    register(session, stage.id, [LiveFunction(**one.as_json()) for one in result.functions] if result else [])
    if result is None:
        stage.live_commit, stage.outputs, stage.assembly_id = None, {}, None
        return
    # An assembly that nobody said the commit of is known by itself.
    stage.live_commit = job.commit or f"assembly-{job.assembly_id}"
    stage.assembly_id = job.assembly_id  # that of a new commit is kept in a moment, and named then
    stage.outputs = {stack: dict(outputs) for stack, outputs in result.outputs.items()}
    session.add_all(
        StageStack(
            stage_id=stage.id,
            name=known.name,
            arn=known.arn,
            ordinal=known.ordinal,
            drift=drifts.get(known.name, {}),
            updated_at=moment,
        )
        for known in result.stacks
    )


def _wanted(session: Session, stage: Stage) -> Intent | None:
    return session.scalars(
        select(Intent).where(Intent.stage_id == stage.id, Intent.generation == stage.wanted_generation)
    ).one_or_none()
