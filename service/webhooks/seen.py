"""Hosts, installations and repositories, kept as payloads name them.

Rows are locked in one order (installations, then repositories by GitHub's id, then sources by ours), so that no two
deliveries wait for each other in a circle. What a payload names as it was last seen is not written at all: see
`sources.raise_source`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from service.database import insert_into
from service.models import GitHubHost, Installation, Repository
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


def keep_host(connection: Connection, address: HostAddress) -> None:
    """Write the host's row down if it is not there."""
    if connection.scalar(select(GitHubHost.id).where(GitHubHost.name == address.name)) is None:
        row = {"name": address.name, "api_url": address.api_url, "web_url": address.web_url}
        _inserted(connection, GitHubHost, row)


def keep_installation(connection: Connection, host: Host, seen: SeenInstallation, at: datetime) -> int:
    """Return the id of the installation's row, with its account's name as last seen."""
    at_host = (Installation.host_id == host.id) & (Installation.github_id == seen.github_id)
    found = connection.execute(select(Installation.id, Installation.account).where(at_host)).one_or_none()
    if found is None:
        row = {"host_id": host.id, "github_id": seen.github_id, "account": seen.account, "created_at": at}
        return _inserted(connection, Installation, row)
    if seen.account and seen.account != found.account:
        connection.execute(update(Installation).where(Installation.id == found.id).values(account=seen.account))
    installation_id: int = found.id
    return installation_id


def keep_place(connection: Connection, host: Host, place: Place, at: datetime) -> int:
    """Return the id of the repository's row, with its names and its installation as seen."""
    through = keep_installation(connection, host, place.installation, at) if place.installation else None
    return keep_repository(connection, host, place.repository, through, at)


def keep_repository(
    connection: Connection, host: Host, seen: SeenRepository, installation_id: int | None, at: datetime
) -> int:
    """Return the id of the repository's row, written as seen; what was not seen stays as it is."""
    changes: dict[str, Any] = {"full_name": seen.full_name, "clone_url": _clone_url(host, seen.full_name)}
    if seen.default_branch:
        changes["default_branch"] = seen.default_branch
    at_host = (Repository.host_id == host.id) & (Repository.github_id == seen.github_id)
    known = update(Repository).where(at_host).values(changes)
    if installation_id is not None:
        changes["installation_id"] = installation_id
        # An installation that was removed never comes back: one that is made anew has another number. So a delivery
        # that still names the old one is late, and must not close the door that the new one has opened.
        alive = select(Installation.id).where(Installation.id == installation_id, Installation.removed_at.is_(None))
        through = func.coalesce(alive.scalar_subquery(), Repository.installation_id, installation_id)
        known = known.values(installation_id=through)
    found: int | None = connection.scalar(known.returning(Repository.id))
    if found is not None:
        return found
    row = {"host_id": host.id, "github_id": seen.github_id, "created_at": at, **changes}
    return _inserted(connection, Repository, row)


def lock_repositories(connection: Connection, host: Host, seen: Iterable[SeenRepository]) -> None:
    """Lock the rows that are there, in the one order, before several of them are changed."""
    connection.execute(
        select(Repository.id)
        .where(Repository.host_id == host.id, Repository.github_id.in_([each.github_id for each in seen]))
        .order_by(Repository.github_id)
        .with_for_update()
    )


def open_repositories(
    connection: Connection, host: Host, seen: Iterable[SeenRepository], installation_id: int, at: datetime
) -> list[int]:
    """Keep repositories that an installation sees from now on; return their ids."""
    ordered = sorted(seen, key=lambda repository: repository.github_id)
    ids = [keep_repository(connection, host, repository, installation_id, at) for repository in ordered]
    connection.execute(update(Repository).where(Repository.id.in_(ids)).values(removed_at=None))
    return ids


def close_repositories(
    connection: Connection, host: Host, seen: Iterable[SeenRepository], installation_id: int, at: datetime
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
    return list(connection.scalars(statement))


def rename_owner(connection: Connection, host: Host, installation_id: int, old: str, new: str) -> None:
    """Give the repositories of an installation the names that they have under their owner's new name."""
    rows = connection.execute(
        select(Repository.id, Repository.full_name)
        .where(Repository.installation_id == installation_id)
        .order_by(Repository.github_id)
        .with_for_update()
    ).all()
    for repository_id, full_name in rows:
        owner, _, name = full_name.partition("/")
        if owner == old:
            names = {"full_name": f"{new}/{name}", "clone_url": _clone_url(host, f"{new}/{name}")}
            connection.execute(update(Repository).where(Repository.id == repository_id).values(names))


def _clone_url(host: Host, full_name: str) -> str:
    """Make the URL from the host's own address, not from a payload: a token is sent to it later."""
    return f"{host.address.web_url}/{full_name}.git"


_PLAIN_COLUMN = {GitHubHost: "web_url", Installation: "account", Repository: "full_name"}


def _inserted(connection: Connection, table: type[GitHubHost | Installation | Repository], row: dict[str, Any]) -> int:
    """Insert a row and return its id, or that of the equal one that another delivery inserted meanwhile."""
    unique = ["name"] if table is GitHubHost else ["host_id", "github_id"]
    name = _PLAIN_COLUMN[table]
    statement = insert_into(table, connection.dialect.name).values(row)
    # Setting a column to what it is makes RETURNING speak of the row that was there, too. Not a column of a key: to
    # name one locks the row against those who only refer to it, and two deliveries may then wait for each other.
    statement = statement.on_conflict_do_update(index_elements=unique, set_={name: row[name]})
    inserted: int = connection.execute(statement.returning(table.id)).scalar_one()
    return inserted
