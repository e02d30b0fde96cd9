"""What waits for a workflow is looked at again as soon as one has ended."""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.models import Outcome, PlanRow, Run, Source, Stage
from service.stages.artifact import BY_WORKFLOW
from service.stages.intents import repeat_intent

LONGEST_LOOK_SECONDS = 600


def next_look(since: datetime, moment: datetime, first_look_seconds: float) -> datetime:
    """Return when to look again for what has been waited for `since` then: the longer, the less often."""
    waited = (moment - since).total_seconds()
    return moment + timedelta(seconds=max(first_look_seconds, min(waited / 4, LONGEST_LOOK_SECONDS)))


def wake_for_workflow(session: Session, source: Source) -> None:
    """Have the source's stages that wait for a workflow looked at now, and those that gave it up tried once more."""
    for stage in session.scalars(
        select(Stage).where(Stage.source_id == source.id).order_by(Stage.id).with_for_update()
    ):
        waits = (PlanRow.stage_id == stage.id, PlanRow.outcome.is_(None), PlanRow.blocked_reason.is_not(None))
        session.execute(update(PlanRow).where(*waits).values(not_before=None, rung_at=None))
        run = session.scalars(
            select(Run)
            .where(Run.stage_id == stage.id, Run.generation == stage.wanted_generation)
            .order_by(Run.id.desc())
            .limit(1)
        ).one_or_none()
        if run is None:
            continue
        if run.outcome is None and run.blocked_reason is not None:
            stage.not_before, stage.rung_at = None, None
        elif run.outcome is Outcome.FAILED and (run.error or {}).get("id") in BY_WORKFLOW:
            repeat_intent(session, stage, "workflow-ended")
