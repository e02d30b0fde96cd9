"""Hosts, installations and repositories, kept as payloads name them.

Everything here is read first and written only when it differs, so that the deliveries of a busy repository do not wait
for one another. Rows are locked in one order (installations, then repositories by GitHub's id, then sources by ours),
so that no two deliveries wait for each other in a circle.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from service.models import Base, GitHubHost, Installation, Repository
from service.webhooks.hints import Place, SeenInstallation, SeenRepository


@dataclass(frozen=True, slots=True)
class HostAddress:
    """A GitHub server as the settings name it; the URLs have no slash at their end."""

    name: str
    api_url: str
    web_url: str


@dataclass(frozen=True, slots=True)
class Host:
    """The same with its row's id."""

    id: int
    address: HostAddress


def insert_into(session: Session, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that can say what to do on a conflict, in the words of the session's database."""
    return postgresql.insert(table) if session.get_bind().dialect.name == "postgresql" else sqlite.insert(table)


def keep_host(session: Session, address: HostAddress) -> Host:
    """Return the host's row, made at its first delivery."""
    found: int | None = session.scalar(select(GitHubHost.id).where(GitHubHost.name == address.name))
    if found is None:
        row = {"name": address.name, "api_url": address.api_url, "web_url": address.web_url}
        found = _inserted(session, GitHubHost, row)
    return Host(found, address)


def keep_installation(session: Session, host: Host, seen: SeenInstallation, at: datetime) -> int:
    """Return the id of the installation's row, with its account's name as last seen."""
    at_host = (Installation.host_id == host.id) & (Installation.github_id == seen.github_id)
    found = session.execute(select(Installation.id, Installation.account).where(at_host)).one_or_none()
    if found is None:
        row = {"host_id": host.id, "github_id": seen.github_id, "account": seen.account, "created_at": at}
        return _inserted(session, Installation, row)
    if seen.account and seen.account != found.account:
        session.execute(update(Installation).where(Installation.id == found.id).values(account=seen.account))
    installation_id: int = found.id
    return installation_id


def keep_place(session: Session, host: Host, place: Place, at: datetime) -> int:
    """Return the id of the repository's row, with names and installation as last seen; one read when nothing is new."""
    seen = place.repository
    known = session.execute(
        select(Repository.id, Repository.full_name, Repository.default_branch, Installation.github_id)
        .outerjoin(Installation)
        .where(Repository.host_id == host.id, Repository.github_id == seen.github_id)
    ).one_or_none()
    if (
        known is not None
        and known.full_name == seen.full_name
        and seen.default_branch in ("", known.default_branch)
        and (place.installation is None or place.installation.github_id == known.github_id)
    ):
        repository_id: int = known.id
        return repository_id
    through = keep_installation(session, host, place.installation, at) if place.installation else None
    return keep_repository(session, host, seen, through, at)


def keep_repository(
    session: Session, host: Host, seen: SeenRepository, installation_id: int | None, at: datetime
) -> int:
    """Return the id of the repository's row, written as seen; what was not seen stays as it is."""
    changes: dict[str, Any] = {"full_name": seen.full_name, "clone_url": _clone_url(host, seen.full_name)}
    if seen.default_branch:
        changes["default_branch"] = seen.default_branch
    if installation_id is not None:
        changes["installation_id"] = installation_id
    at_host = (Repository.host_id == host.id) & (Repository.github_id == seen.github_id)
    found: int | None = session.scalar(update(Repository).where(at_host).values(changes).returning(Repository.id))
    if found is not None:
        return found
    row = {"host_id": host.id, "github_id": seen.github_id, "created_at": at, **changes}
    return _inserted(session, Repository, row)


def lock_repositories(session: Session, host: Host, seen: Iterable[SeenRepository]) -> None:
    """Lock the rows that are there, in the one order, before several of them are changed."""
    session.execute(
        select(Repository.id)
        .where(Repository.host_id == host.id, Repository.github_id.in_([each.github_id for each in seen]))
        .order_by(Repository.github_id)
        .with_for_update()
    )


def open_repositories(
    session: Session, host: Host, seen: Iterable[SeenRepository], installation_id: int, at: datetime
) -> list[int]:
    """Keep repositories that an installation sees from now on; return their ids."""
    ordered = sorted(seen, key=lambda repository: repository.github_id)
    ids = [keep_repository(session, host, repository, installation_id, at) for repository in ordered]
    session.execute(update(Repository).where(Repository.id.in_(ids)).values(removed_at=None))
    return ids


def close_repositories(
    session: Session, host: Host, seen: Iterable[SeenRepository], installation_id: int, at: datetime
) -> list[int]:
    """Mark repositories that an installation no longer sees, unless another one does; return their ids."""
    statement = (
        update(Repository)
        .where(
            Repository.host_id == host.id,
            Repository.github_id.in_([repository.github_id for repository in seen]),
            Repository.installation_id.is_(None) | (Repository.installation_id == installation_id),
        )
        .values(removed_at=at)
        .returning(Repository.id)
    )
    return list(session.scalars(statement))


def rename_owner(session: Session, host: Host, installation_id: int, old: str, new: str) -> None:
    """Give the repositories of an installation the names that they have under their owner's new name."""
    rows = session.scalars(
        select(Repository)
        .where(Repository.installation_id == installation_id)
        .order_by(Repository.github_id)
        .with_for_update()
    )
    for repository in rows:
        owner, _, name = repository.full_name.partition("/")
        if owner == old:
            repository.full_name = f"{new}/{name}"
            repository.clone_url = _clone_url(host, repository.full_name)


def _clone_url(host: Host, full_name: str) -> str:
    """Make the URL from the host's own address, not from a payload: a token is sent to it later."""
    return f"{host.address.web_url}/{full_name}.git"


def _inserted(session: Session, table: type[GitHubHost | Installation | Repository], row: dict[str, Any]) -> int:
    """Insert a row and return its id, or that of the equal one that another delivery inserted meanwhile."""
    unique = ["name"] if table is GitHubHost else ["host_id", "github_id"]
    statement = insert_into(session, table).values(row)
    # Setting a column to what it is makes RETURNING speak of the row that was there, too.
    statement = statement.on_conflict_do_update(index_elements=unique, set_={unique[-1]: row[unique[-1]]})
    inserted: int = session.execute(statement.returning(table.id)).scalar_one()
    return inserted
