"""Finds what no webhook told: pull requests that were opened or reopened unheard, and doors said to be closed that are
open. Webhooks get lost, and GitHub does not repeat them by itself.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.database import Sessions, insert_into, now
from service.github.client import GitHubClients, OpenPull
from service.github.errors import InstallationGone
from service.models import Installation, Repository, Source, SourceKind

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A repository with its host and installation, and when it was asked about."""

    repository: Repository
    at: datetime


def find_unheard(sessions: Sessions, github: GitHubClients, repository_id: int) -> int:
    """Ask for a repository's open pull requests and raise those that we do not know to be open; return how many.

    One that was opened before we knew the repository is left until something happens to it: an App that is installed
    does not deploy all that was there before. Raises `GitHubUnavailable`, `GitHubRefused`.
    """
    asked = _begin(sessions, repository_id)
    try:
        pulls = github.despite_webhooks(asked.repository).open_pulls()
    except InstallationGone:
        return 0
    with sessions.begin() as session:
        if _open_door(session, asked):
            log.warning("the App is installed although a webhook said it was not", repository_id=repository_id)
            _raise(session, Source.repository_id == repository_id, Source.open)
        return _raise_unheard(session, repository_id, [pull for pull in pulls if _is_ours(pull, asked)])


def _begin(sessions: Sessions, repository_id: int) -> _Asked:
    with sessions.begin() as session:
        repository = session.get_one(Repository, repository_id)
        _ = repository.host, repository.installation  # loaded here, read after the session is gone
        return _Asked(repository, now(session))


def _is_ours(pull: OpenPull, asked: _Asked) -> bool:
    return pull.created_at >= asked.repository.created_at


def _open_door(session: Session, asked: _Asked) -> bool:
    """Forget that the App was removed or suspended, as it was let in; but not what has been said since it asked."""
    changes = [
        update(table).where(table.id == row_id, column < asked.at).values({column: None}).returning(table.id)
        for table, row_id, column in (
            (Installation, asked.repository.installation_id, Installation.removed_at),
            (Installation, asked.repository.installation_id, Installation.suspended_at),
            (Repository, asked.repository.id, Repository.removed_at),
        )
    ]
    # All of them, in this order, which is that of webhooks' locks.
    return any([session.execute(change).first() is not None for change in changes])  # noqa: C419


def _raise_unheard(session: Session, repository_id: int, pulls: list[OpenPull]) -> int:
    moment = now(session)
    rows = [
        {
            "repository_id": repository_id,
            "kind": SourceKind.PULL,
            "ref": str(pull.number),
            "generation": 1,
            "created_at": moment,
            "updated_at": moment,
        }
        for pull in pulls
    ]
    made = 0
    for row in rows:
        statement = insert_into(Source, session.get_bind().dialect.name).values(row).on_conflict_do_nothing()
        made += session.execute(statement.returning(Source.id)).first() is not None
    refs = [row["ref"] for row in rows]
    is_pull = (Source.repository_id == repository_id, Source.kind == SourceKind.PULL)
    return made + _raise(session, *is_pull, Source.ref.in_(refs), ~Source.open)


def _raise(session: Session, *conditions: object) -> int:
    """Raise sources, locked in the order in which webhooks lock them."""
    ids = session.scalars(select(Source.id).where(*conditions).order_by(Source.id).with_for_update()).all()  # type: ignore[arg-type]
    session.execute(update(Source).where(Source.id.in_(ids)).values(generation=Source.generation + 1))
    return len(ids)
