"""Sessions as the database knows them: who was there when a process dies is read by the next."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update

from service.database import Sessions, now
from service.models import Session, Stage, StageKind, TargetRow

LONGEST_ABSENCE = timedelta(minutes=1)
"""A session that no process has seen for so long is nobody's, though nobody closed it: all bridges have given it up."""


@dataclass(frozen=True, slots=True)
class StageFacts:
    """What the relay needs to know of a stage. `owner` is a GitHub login, empty where there is none."""

    id: int
    name: str
    owner: str
    personal: bool
    account: str
    keeps_payloads: bool


def stage_facts(sessions: Sessions, stage_id: int) -> StageFacts | None:
    """Return what is known of a stage; None when there is no such stage."""
    with sessions() as session:
        row = session.execute(
            select(Stage, TargetRow.account)
            .join(TargetRow, TargetRow.id == Stage.target_id)
            .where(Stage.id == stage_id)
        ).one_or_none()
    if row is None:
        return None
    stage, account = row
    return StageFacts(
        stage.id, stage.name, stage.owner, stage.kind is StageKind.PERSONAL, account, stage.keeps_payloads
    )


def open_session(sessions: Sessions, stage_id: int, developer: str, functions: list[str]) -> str:
    """Write a new session down and return its id."""
    with sessions.begin() as session:
        moment = now(session)
        row = Session(stage_id=stage_id, developer=developer, functions=functions, opened_at=moment, seen_at=moment)
        session.add(row)
        session.flush()
        return str(row.id)


def is_open(sessions: Sessions, session_id: str) -> bool:
    """Tell whether nobody has closed the session."""
    with sessions() as session:
        row = session.get(Session, int(session_id)) if session_id.isdecimal() else None
        return row is not None and row.closed_at is None


def see_sessions(sessions: Sessions, ids: list[str]) -> None:
    """Write down that these sessions are alive, and close those that nobody has seen for long."""
    with sessions.begin() as session:
        moment = now(session)
        session.execute(update(Session).where(Session.id.in_(map(int, ids))).values(seen_at=moment))
        session.execute(
            update(Session)
            .where(Session.closed_at.is_(None), Session.seen_at < moment - LONGEST_ABSENCE)
            .values(closed_at=moment)
        )


def close_session(sessions: Sessions, session_id: str) -> None:
    """Write down that the session is over."""
    with sessions.begin() as session:
        session.execute(update(Session).where(Session.id == int(session_id)).values(closed_at=now(session)))


def open_sessions(sessions: Sessions, stage_id: int) -> frozenset[str]:
    """Return the stage's sessions that may be alive somewhere."""
    with sessions() as session:
        since = now(session) - LONGEST_ABSENCE
        rows = session.scalars(
            select(Session.id).where(
                Session.stage_id == stage_id, Session.closed_at.is_(None), Session.seen_at >= since
            )
        )
        return frozenset(map(str, rows))
