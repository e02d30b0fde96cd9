"""One delivery, one transaction: its row, and what it raises."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from service.models import Delivery, Installation, Repository, SourceKind
from service.webhooks.hints import (
    AccountRenamed,
    BranchDeleted,
    BranchPushed,
    Hint,
    Ignored,
    InstallationChanged,
    InstallationState,
    PullRequestTouched,
    RepositoriesChanged,
    RepositoryChanged,
    RerunRequested,
)
from service.webhooks.seen import (
    Host,
    HostAddress,
    close_repositories,
    insert_into,
    keep_host,
    keep_installation,
    keep_place,
    lock_repositories,
    open_repositories,
    rename_owner,
)
from service.webhooks.sources import (
    raise_branch_if_known,
    raise_for_rerun,
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


def record(session: Session, address: HostAddress, received: Received, hint: Hint) -> bool:
    """Store the delivery and act on its hint, in the session's transaction; the caller commits.

    Return whether it was new. One that was stored and never processed counts as new; of one that was processed,
    nothing is done again. Of two equal deliveries at once, the second waits for the first one's transaction.
    """
    host = keep_host(session, address)
    statement = insert_into(session, Delivery).values(
        host_id=host.id,
        guid=received.guid,
        event=received.event,
        action=received.action,
        body=received.body,
        received_at=received.at,
        processed_at=received.at,
        outcome=str(hint)[:_OUTCOME_LIMIT],
    )
    statement = statement.on_conflict_do_update(
        index_elements=["host_id", "guid"],
        set_={"processed_at": statement.excluded.processed_at, "outcome": statement.excluded.outcome},
        where=Delivery.processed_at.is_(None),
    )
    if session.execute(statement.returning(Delivery.id)).one_or_none() is None:
        return False
    _act(session, host, hint, received.at)
    return True


def _act(session: Session, host: Host, hint: Hint, at: datetime) -> None:
    match hint:
        case PullRequestTouched(place, number):
            raise_source(session, keep_place(session, host, place, at), SourceKind.PULL, str(number), at)
        case BranchPushed(place, branch):
            raise_source(session, keep_place(session, host, place, at), SourceKind.BRANCH, branch, at)
        case BranchDeleted(place, branch):
            raise_branch_if_known(session, keep_place(session, host, place, at), branch, at)
        case RerunRequested(place):
            raise_for_rerun(session, keep_place(session, host, place, at), hint, at)
        case RepositoryChanged():
            _change_repository(session, host, hint, at)
        case InstallationChanged():
            _change_installation(session, host, hint, at)
        case RepositoriesChanged():
            _change_repositories(session, host, hint, at)
        case AccountRenamed():
            _rename_account(session, host, hint, at)
        case Ignored():
            pass


def _change_repository(session: Session, host: Host, hint: RepositoryChanged, at: datetime) -> None:
    repository_id = keep_place(session, host, hint.place, at)
    if hint.is_gone:
        session.execute(update(Repository).where(Repository.id == repository_id).values(removed_at=at))
    if hint.action in {"deleted", "transferred"}:
        raise_open_sources(session, [repository_id], at)


def _change_installation(session: Session, host: Host, hint: InstallationChanged, at: datetime) -> None:
    """Close or open the door; a worker takes away, or brings back, what stands behind it."""
    installation_id = keep_installation(session, host, hint.installation, at)
    match hint.state:
        case InstallationState.CREATED:
            changes: dict[str, datetime | None] = {"removed_at": None, "suspended_at": None}
        case InstallationState.DELETED:
            changes = {"removed_at": at}
        case InstallationState.SUSPENDED:
            changes = {"suspended_at": at}
        case InstallationState.UNSUSPENDED:
            changes = {"suspended_at": None}
    session.execute(update(Installation).where(Installation.id == installation_id).values(changes))
    if hint.state is InstallationState.CREATED:
        open_repositories(session, host, hint.repositories, installation_id, at)
    raise_sources_behind(session, installation_id, at)


def _change_repositories(session: Session, host: Host, hint: RepositoriesChanged, at: datetime) -> None:
    installation_id = keep_installation(session, host, hint.installation, at)
    lock_repositories(session, host, [*hint.added, *hint.removed])
    added = open_repositories(session, host, hint.added, installation_id, at)
    removed = close_repositories(session, host, hint.removed, installation_id, at)
    raise_open_sources(session, [*added, *removed], at)


def _rename_account(session: Session, host: Host, hint: AccountRenamed, at: datetime) -> None:
    installation_id = keep_installation(session, host, hint.installation, at)
    rename_owner(session, host, installation_id, hint.old_account, hint.installation.account)
