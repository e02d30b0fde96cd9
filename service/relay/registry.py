"""Which functions a stage has, as its last deploy found them, and which of them are live."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service import models
from service.database import now


@dataclass(frozen=True, slots=True)
class LiveFunction:
    """A Lambda function of a stage. `name` is the physical one, `role` an ARN, `timeout_s` the app's own timeout.

    `reason` says why one is not live; it is empty where one is. `place` is where it is in the app's templates.
    """

    name: str
    arn: str
    role: str
    timeout_s: int
    runtime: str = ""
    handler: str = ""
    live: bool = True
    reason: str = ""
    place: str = ""


def register(session: Session, stage_id: int, functions: Iterable[LiveFunction]) -> None:
    """Make these, and no others, the stage's functions; the caller commits."""
    moment = now(session)
    session.execute(delete(models.LiveFunction).where(models.LiveFunction.stage_id == stage_id))
    for function in {function.name: function for function in functions}.values():
        session.add(models.LiveFunction(stage_id=stage_id, registered_at=moment, **asdict(function)))
    session.flush()


def registered(session: Session, stage_id: int) -> list[LiveFunction]:
    """Return the stage's functions by name, live and not."""
    rows = session.scalars(
        select(models.LiveFunction).where(models.LiveFunction.stage_id == stage_id).order_by(models.LiveFunction.name)
    )
    return [
        LiveFunction(
            row.name, row.arn, row.role, row.timeout_s, row.runtime, row.handler, row.live, row.reason, row.place
        )
        for row in rows
    ]
