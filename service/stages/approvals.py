"""A maintainer's word on a fork's pull request: the comment `/deploy <sha>`.

It counts if its author may write to the repository, by what GitHub says when it is asked, and if the commit is the
pull request's head at that time. It is bound to that commit for good: what is pushed later needs another word.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.database import now
from service.github.client import Permission, PullState
from service.models import Approval, ApprovalState, Audit, Source, Stage

log = structlog.get_logger(__name__)

WRITERS = frozenset({"admin", "write"})
"""GitHub says `write` of a maintainer, too, and `read` of somebody who triages
(https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user)."""

NO_COMMIT = "names no commit"
OTHER_COMMIT = "does not name all of the newest commit's id"

JUDGED_AT_ONCE = 10
"""Of the words on one pull request, so many are looked into at once: anybody may comment, and each costs a call."""


@dataclass(frozen=True, slots=True)
class Word:
    """A comment `/deploy <sha>`, by whom and about which commit."""

    id: int
    comment_id: int
    login: str
    user_id: int
    sha: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a word, and why."""

    word: Word
    granted: bool
    reason: str = ""

    @property
    def said(self) -> str:
        """Return the reason as the pull request tells it; empty where its author need not hear it."""
        return _said(self.reason)


def _said(reason: str) -> str:
    return f"The last `/deploy` {reason}." if reason in {NO_COMMIT, OTHER_COMMIT} else ""


def last_denied(session: Session, source_id: int) -> str:
    """Return why the last word on a pull request did not count; empty where it did, or where that is not told."""
    last = session.scalars(
        select(Approval).where(Approval.source_id == source_id).order_by(Approval.id.desc()).limit(1)
    ).one_or_none()
    return _said(last.reason) if last else ""


def words(session: Session, source_id: int, state: ApprovalState) -> tuple[Word, ...]:
    """Return words on a pull request that are in this state, oldest first: the newest of each author before anybody's
    second, so that nobody who says much keeps others from being heard.
    """
    of_author = func.row_number().over(partition_by=Approval.user_id, order_by=Approval.id.desc())
    rows = session.scalars(
        select(Approval)
        .where(Approval.source_id == source_id, Approval.state == state)
        .order_by(of_author, Approval.id.desc())
        .limit(JUDGED_AT_ONCE)
    ).all()
    ordered = sorted(rows, key=lambda row: row.id)
    return tuple(Word(row.id, row.comment_id, row.login, row.user_id, row.sha, row.created_at) for row in ordered)


def judged(
    asked: Sequence[Word], head: str | None, permission: Callable[[str], Permission | None]
) -> tuple[Verdict, ...]:
    """Return what becomes of words; `head` is the head of the fork's pull request, None where it is none of a fork."""
    return tuple(_verdict(word, head, permission) for word in asked)


def _verdict(word: Word, head: str | None, permission: Callable[[str], Permission | None]) -> Verdict:
    if head is None:
        return Verdict(word, granted=False, reason="the pull request is not of a fork")
    allowed = permission(word.login)
    if allowed is None or allowed.user_id != word.user_id or allowed.permission not in WRITERS:
        return Verdict(word, granted=False, reason="its author may not write to the repository")
    if word.sha != head:
        reason = NO_COMMIT if not word.sha else OTHER_COMMIT
        return Verdict(word, granted=False, reason=reason)
    return Verdict(word, granted=True)


def granted_in(verdicts: Iterable[Verdict]) -> tuple[Word, ...]:
    """Return the words that count."""
    return tuple(verdict.word for verdict in verdicts if verdict.granted)


def approval_of(granted: Sequence[Word], pull: PullState) -> Mapping[str, Any] | None:
    """Return the approval of a pull request's head as an intent keeps it; None where there is none, or no fork any more
    whose workflow could have run.
    """
    word = next((word for word in granted if word.sha == pull.head_sha), None)
    if word is None or pull.head_repository_id is None:
        return None
    return {
        "sha": word.sha,
        "by": word.login,
        "comment": word.comment_id,
        "at": word.at.isoformat(),
        "head_repository": pull.head_repository_id,
    }


def write_verdicts(session: Session, source: Source, verdicts: Sequence[Verdict]) -> None:
    """Write down what became of words; what counts goes into the record of who did what, too."""
    if not verdicts:
        return
    moment = now(session)
    judged_now = select(Approval).where(Approval.id.in_([verdict.word.id for verdict in verdicts]))
    rows = {row.id: row for row in session.scalars(judged_now)}
    stages = session.scalars(select(Stage.id).where(Stage.source_id == source.id)).all()
    for verdict in verdicts:
        row = rows[verdict.word.id]
        if row.state is not ApprovalState.ASKED:
            continue
        row.state = ApprovalState.GRANTED if verdict.granted else ApprovalState.REFUSED
        row.reason, row.decided_at = verdict.reason, moment
        log.info(
            "a word on a fork", source_id=source.id, login=row.login, granted=verdict.granted, reason=verdict.reason
        )
        if verdict.granted:
            for stage_id in (*stages,) or (None,):
                data = {"comment": row.comment_id, "pull": source.ref, "repository": source.repository.full_name}
                session.add(
                    Audit(
                        at=moment,
                        actor=row.login,
                        action="approve-fork",
                        stage_id=stage_id,
                        subject=row.sha,
                        data=data,
                    )
                )
