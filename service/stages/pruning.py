"""What is kept for a while and then taken away: assemblies, plans, logs, and branches and pull requests of old."""

from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ScalarSelect, Select, delete, func, select, update

from service.database import now
from service.models import (
    Approval,
    AssemblyRow,
    Intent,
    PlanRow,
    Run,
    Source,
    Stage,
    Told,
    Want,
)
from service.parts import Parts
from service.stages.journal import events_prefix
from service.stages.plans import blobs_of_plan

log = structlog.get_logger(__name__)

BATCH = 200
UNASKED = timedelta(days=1)
"""How long an assembly that nobody has deployed yet is kept: one that was uploaded to be asked for a moment later."""


def prune_assemblies(parts: Parts) -> int:
    """Take away the zips of assemblies that nobody will ask for; return how many. Their rows stay.

    Kept are those that are live or wanted, the newest of each stage's runs, and what was uploaded lately.
    """
    with parts.sessions.begin() as session:
        old = now(session) - UNASKED
        over = (
            select(AssemblyRow.id, AssemblyRow.blob)
            .where(AssemblyRow.blob != "", AssemblyRow.created_at < old)
            .where(AssemblyRow.id.not_in(_live()), AssemblyRow.id.not_in(_wanted()))
            .where(AssemblyRow.id.not_in(_newest(parts.settings.assemblies_kept)))
            .order_by(AssemblyRow.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        found = session.execute(over).all()
        session.execute(update(AssemblyRow).where(AssemblyRow.id.in_([row.id for row in found])).values(blob=""))
    # Only now: whoever reads the row finds a zip, or none named.
    for row in found:
        parts.blobs.delete(row.blob)
    return len(found)


def _live() -> Select[int | None]:
    return select(Stage.assembly_id).where(Stage.assembly_id.is_not(None))


def _wanted() -> Select[int | None]:
    newest = (Intent.stage_id == Stage.id) & (Intent.generation == Stage.wanted_generation)
    return select(Intent.assembly_id).join(Stage, newest).where(Intent.want == Want.ASSEMBLY)


def _newest(count: int) -> Select[Any]:
    """Select the last so many assemblies of each stage, by when a run last deployed them."""
    last = (
        select(Run.stage_id, Run.assembly_id, func.max(Run.id).label("run_id"))
        .where(Run.assembly_id.is_not(None))
        .group_by(Run.stage_id, Run.assembly_id)
        .subquery()
    )
    place = func.row_number().over(partition_by=last.c.stage_id, order_by=last.c.run_id.desc()).label("place")
    ranked = select(last.c.assembly_id, place).subquery()
    return select(ranked.c.assembly_id).where(ranked.c.place <= count)


def prune_logs(parts: Parts) -> int:
    """Take away the logs of runs that ended long ago, but not of each stage's newest one; return how many.

    The runs themselves stay, with how they ended.
    """
    with parts.sessions.begin() as session:
        old = now(session) - timedelta(days=parts.settings.log_days)
        ids = session.scalars(
            select(Run.id)
            .where(Run.log_kept, Run.finished_at < old, Run.id != _newest_run())
            .order_by(Run.id)
            .limit(BATCH)
        ).all()
    for run_id in ids:
        parts.blobs.delete(events_prefix(run_id))
    with parts.sessions.begin() as session:
        session.execute(update(Run).where(Run.id.in_(ids)).values(log_kept=False))
    return len(ids)


def prune_plans(parts: Parts) -> int:
    """Take away plans that were made as long ago as logs are kept, with all that they say; return how many."""
    with parts.sessions.begin() as session:
        old = now(session) - timedelta(days=parts.settings.log_days)
        ids = session.scalars(
            select(PlanRow.id).where(PlanRow.finished_at < old).order_by(PlanRow.id).limit(BATCH)
        ).all()
        session.execute(delete(PlanRow).where(PlanRow.id.in_(ids)))
    for plan_id in ids:
        parts.blobs.delete(blobs_of_plan(plan_id))
    return len(ids)


def _newest_run() -> ScalarSelect[int]:
    newer = Run.__table__.alias("newer")
    return select(func.max(newer.c.id)).where(newer.c.stage_id == Run.stage_id).scalar_subquery()


def prune_sources(parts: Parts) -> int:
    """Forget branches and pull requests that were last heard of long ago, never had a stage and were told nothing;
    return how many.

    There is a row for each branch that was ever pushed. One that is heard of again gets a new row.
    """
    with parts.sessions.begin() as session:
        old = now(session) - timedelta(days=parts.settings.source_days)
        has_stage = select(Stage.id).where(Stage.source_id == Source.id).exists()
        was_told = select(Told.id).where(Told.source_id == Source.id, Told.github_id.is_not(None)).exists()
        ids = session.scalars(
            select(Source.id)
            .where(Source.updated_at < old, Source.generation == Source.done_generation)
            .where(~has_stage, ~was_told)
            .order_by(Source.id)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        ).all()
        for table in (Told, Approval):
            session.execute(delete(table).where(table.source_id.in_(ids)))
        session.execute(delete(Source).where(Source.id.in_(ids)))
    return len(ids)
