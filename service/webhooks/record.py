"""One delivery, one transaction: its row, and what it raises."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, Insert, LargeBinary, String, bindparam, select, update

from service.database import insert_into
from service.models import Delivery, GitHubHost, Installation, Repository, SourceKind, UtcDateTime
from service.webhooks import one_statement
from service.webhooks.hints import (
    AccountRenamed,
    BranchDeleted,
    BranchPushed,
    DeployAsked,
    Hint,
    Ignored,
    InstallationChanged,
    InstallationState,
    PullRequestTouched,
    RepositoriesChanged,
    RepositoryChanged,
    RerunRequested,
    WorkflowEnded,
)
from service.webhooks.seen import (
    Host,
    HostAddress,
    close_repositories,
    keep_host,
    keep_installation,
    keep_place,
    lock_repositories,
    open_repositories,
    rename_owner,
)
from service.webhooks.sources import (
    ask_for_approval,
    raise_branch_if_known,
    raise_for_rerun,
    raise_for_workflow,
    raise_open_sources,
    raise_source,
    raise_sources_behind,
)

_OUTCOME_LIMIT = 255


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery as it came in: GitHub's id of it, the event, the action (or ""), the raw body, and when."""

    guid: str
    event: str
    action: str
    body: bytes
    at: datetime


def record(engine: Engine, address: HostAddress, received: Received, hint: Hint) -> bool:
    """Store the delivery and act on its hint, both or neither; they are committed when this returns.

    Return whether it was new. One that was stored and never processed counts as new; of one that was processed,
    nothing is done again. Of two equal deliveries at once, the second waits for the first one's transaction.
    """
    row = {
        "host": address.name,
        "guid": received.guid,
        "event": received.event,
        "action": received.action,
        "body": received.body,
        "received_at": received.at,
        "outcome": str(hint)[:_OUTCOME_LIMIT],
    }
    seen = _seen_source(hint) if engine.dialect.name == one_statement.DIALECT else None
    is_new = one_statement.record_known(engine, row, seen) if seen else None
    if is_new is not None:
        return is_new
    with engine.begin() as connection:
        return _record_step_by_step(connection, address, row, hint)


def _record_step_by_step(connection: Connection, address: HostAddress, row: dict[str, Any], hint: Hint) -> bool:
    store = _store(connection.dialect.name)
    host_id: int | None = connection.scalar(store, row)
    if host_id is None:
        # Processed before, or the very first: another delivery may have written the host down a moment ago.
        keep_host(connection, address)
        host_id = connection.scalar(store, row)
    if host_id is None:
        return False
    _act(connection, Host(host_id, address), hint, row["received_at"])
    return True


def _seen_source(hint: Hint) -> dict[str, Any] | None:
    """Return the source that a delivery raises and no more, with what the payload names on the way there."""
    match hint:
        case PullRequestTouched(place, number):
            source = {"kind": SourceKind.PULL, "ref": str(number)}
        case BranchPushed(place, branch):
            source = {"kind": SourceKind.BRANCH, "ref": branch}
        case _:
            return None
    return {
        **source,
        "repository": place.repository.github_id,
        "full_name": place.repository.full_name,
        "default_branch": place.repository.default_branch or None,
        "installation": place.installation.github_id if place.installation else None,
    }


@cache
def _store(dialect: str) -> Insert:
    """Return the statement that stores a delivery of a known host, unless it was processed before."""
    received_at = bindparam("received_at", type_=UtcDateTime())
    row = select(
        GitHubHost.id,
        bindparam("guid", type_=String()).label("guid"),
        bindparam("event", type_=String()).label("event"),
        bindparam("action", type_=String()).label("action"),
        bindparam("body", type_=LargeBinary()).label("body"),
        received_at.label("received_at"),
        received_at.label("processed_at"),
        bindparam("outcome", type_=String()).label("outcome"),
    ).where(GitHubHost.name == bindparam("host", type_=String()))
    statement = insert_into(Delivery, dialect).from_select(
        ["host_id", "guid", "event", "action", "body", "received_at", "processed_at", "outcome"], row
    )
    return statement.on_conflict_do_update(
        index_elements=["host_id", "guid"],
        set_={"processed_at": statement.excluded.processed_at, "outcome": statement.excluded.outcome},
        where=Delivery.processed_at.is_(None),
    ).returning(Delivery.host_id)


def _act(connection: Connection, host: Host, hint: Hint, at: datetime) -> None:
    match hint:
        case PullRequestTouched(place, number):
            raise_source(connection, keep_place(connection, host, place, at), SourceKind.PULL, str(number), at)
        case BranchPushed(place, branch):
            raise_source(connection, keep_place(connection, host, place, at), SourceKind.BRANCH, branch, at)
        case BranchDeleted(place, branch):
            raise_branch_if_known(connection, keep_place(connection, host, place, at), branch, at)
        case RerunRequested(place) | WorkflowEnded(place) | DeployAsked(place):
            _ask_again(connection, keep_place(connection, host, place, at), hint, at)
        case RepositoryChanged():
            _change_repository(connection, host, hint, at)
        case InstallationChanged():
            _change_installation(connection, host, hint, at)
        case RepositoriesChanged():
            _change_repositories(connection, host, hint, at)
        case AccountRenamed():
            _rename_account(connection, host, hint, at)
        case Ignored():
            pass


def _ask_again(
    connection: Connection, repository_id: int, hint: RerunRequested | WorkflowEnded | DeployAsked, at: datetime
) -> None:
    match hint:
        case RerunRequested():
            raise_for_rerun(connection, repository_id, hint, at)
        case WorkflowEnded():
            raise_for_workflow(connection, repository_id, hint, at)
        case DeployAsked():
            ask_for_approval(connection, repository_id, hint, at)


def _change_repository(connection: Connection, host: Host, hint: RepositoryChanged, at: datetime) -> None:
    repository_id = keep_place(connection, host, hint.place, at)
    if hint.is_gone:
        connection.execute(update(Repository).where(Repository.id == repository_id).values(removed_at=at))
    if hint.action in {"deleted", "transferred"}:
        raise_open_sources(connection, [repository_id], at)


def _change_installation(connection: Connection, host: Host, hint: InstallationChanged, at: datetime) -> None:
    """Close or open the door; a worker takes away, or brings back, what stands behind it."""
    installation_id = keep_installation(connection, host, hint.installation, at)
    match hint.state:
        case InstallationState.CREATED:
            changes: dict[str, datetime | None] = {"removed_at": None, "suspended_at": None}
        case InstallationState.DELETED:
            changes = {"removed_at": at}
        case InstallationState.SUSPENDED:
            changes = {"suspended_at": at}
        case InstallationState.UNSUSPENDED:
            changes = {"suspended_at": None}
    connection.execute(update(Installation).where(Installation.id == installation_id).values(changes))
    if hint.state is InstallationState.CREATED:
        open_repositories(connection, host, hint.repositories, installation_id, at)
    raise_sources_behind(connection, installation_id, at)


def _change_repositories(connection: Connection, host: Host, hint: RepositoriesChanged, at: datetime) -> None:
    installation_id = keep_installation(connection, host, hint.installation, at)
    lock_repositories(connection, host, [*hint.added, *hint.removed])
    added = open_repositories(connection, host, hint.added, installation_id, at)
    removed = close_repositories(connection, host, hint.removed, installation_id, at)
    raise_open_sources(connection, [*added, *removed], at)


def _rename_account(connection: Connection, host: Host, hint: AccountRenamed, at: datetime) -> None:
    installation_id = keep_installation(connection, host, hint.installation, at)
    rename_owner(connection, host, installation_id, hint.old_account, hint.installation.account)
