"""Bridges that nobody uses: a stage that no developer was connected to for a day is deployed without them again."""

from datetime import timedelta

from sqlalchemy import func, select

from service.database import now
from service.models import Intent, Session, Stage, Want
from service.parts import Parts
from service.stages.intents import append_live, newest_intent

IDLE = timedelta(days=1)


def take_out_idle_bridges(parts: Parts) -> int:
    """Append an intent without bridges to each such stage, and return how many there were.

    The day begins with the newest wish as well: whoever has asked for bridges a moment ago is about to connect.
    """
    with parts.sessions.begin() as session:
        before = now(session) - IDLE
        seen = select(func.max(Session.seen_at)).where(Session.stage_id == Stage.id).scalar_subquery()
        idle = (
            select(Stage.id, Intent.settings)
            .join(Intent, (Intent.stage_id == Stage.id) & (Intent.generation == Stage.wanted_generation))
            .where(Intent.want != Want.GONE, Intent.created_at < before, (seen.is_(None)) | (seen < before))
        )
        ids = [stage_id for stage_id, settings in session.execute(idle) if "live" in settings]
        locked = select(Stage).where(Stage.id.in_(ids)).with_for_update(skip_locked=True)
        count = 0
        for stage in session.scalars(locked):
            newest = newest_intent(session, stage)
            if newest is not None and newest.created_at < before and "live" in newest.settings:
                append_live(session, stage, newest, None, "")
                count += 1
        return count
