"""Raising the generation of a pull request or a branch: all that a webhook does (see `service.models.Source`).

A generation is raised in the database (`generation + 1`), never read and written back, so that none is lost however
many deliveries come at once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Insert,
    String,
    and_,
    bindparam,
    literal,
    or_,
    select,
    update,
)

from service.database import insert_into
from service.models import Installation, Repository, Source, SourceKind, Told, UtcDateTime
from service.webhooks.hints import Place, RerunRequested
from service.webhooks.seen import Host, keep_place

_BATCH = 1000  # rows an UPDATE names, well under PostgreSQL's 65,535 parameters


def raise_source(connection: Connection, host: Host, place: Place, kind: SourceKind, ref: str, at: datetime) -> None:
    """Raise a source, which is made if nobody has heard of it before, as its repository and installation are."""
    seen = {
        "kind": kind,
        "ref": ref,
        "at": at,
        "host_id": host.id,
        "repository": place.repository.github_id,
        "full_name": place.repository.full_name,
        "default_branch": place.repository.default_branch or None,
        "installation": place.installation.github_id if place.installation else None,
    }
    statement = _raise_at_known_place(connection.dialect.name)
    if connection.execute(statement, seen).one_or_none() is None:
        keep_place(connection, host, place, at)
        connection.execute(statement, seen)


@cache
def _raise_at_known_place(dialect: str) -> Insert:
    """Return the statement that raises a source where the repository's row is just as the payload names it.

    One round trip for nearly every delivery, and no lock but the source's own. Built once: building it takes longer
    than running it.
    """
    at = bindparam("at", type_=UtcDateTime())
    default_branch = bindparam("default_branch", type_=String())
    installation = bindparam("installation", type_=BigInteger())
    as_seen = (
        select(
            Repository.id,
            bindparam("kind", type_=Source.kind.type).label("kind"),
            bindparam("ref", type_=String()).label("ref"),
            literal(1).label("generation"),
            at.label("created_at"),
            at.label("updated_at"),
        )
        .outerjoin(Installation)
        .where(
            Repository.host_id == bindparam("host_id", type_=BigInteger()),
            Repository.github_id == bindparam("repository", type_=BigInteger()),
            Repository.full_name == bindparam("full_name", type_=String()),
            or_(default_branch.is_(None), Repository.default_branch == default_branch),
            or_(installation.is_(None), Installation.github_id == installation),
        )
    )
    statement = insert_into(Source, dialect).from_select(
        ["repository_id", "kind", "ref", "generation", "created_at", "updated_at"], as_seen
    )
    return statement.on_conflict_do_update(
        index_elements=["repository_id", "kind", "ref"],
        set_={"generation": Source.generation + 1, "updated_at": statement.excluded.updated_at},
    ).returning(Source.id)


def raise_branch_if_known(connection: Connection, repository_id: int, branch: str, at: datetime) -> int:
    """Raise the branch's source if there is one; return how many were raised."""
    return _raise(connection, _is(repository_id, SourceKind.BRANCH, [branch]), at)


def raise_open_sources(connection: Connection, repository_ids: Iterable[int], at: datetime) -> int:
    """Raise everything in these repositories that is open, as the door to them closed or opened."""
    return _raise(connection, and_(Source.repository_id.in_(list(repository_ids)), Source.open), at)


def raise_sources_behind(connection: Connection, installation_id: int, at: datetime) -> int:
    """Raise everything that is open in the repositories of an installation."""
    repositories = select(Repository.id).where(Repository.installation_id == installation_id)
    return _raise(connection, and_(Source.repository_id.in_(repositories), Source.open), at)


def raise_for_rerun(connection: Connection, repository_id: int, hint: RerunRequested, at: datetime) -> int:
    """Raise the sources whose check is asked for again, and note that it was asked for.

    The check run's id leads to the source that was told of it. A check suite has no row of its own: it belongs to the
    pull requests that GitHub lists, to whatever had this commit when last seen, and to its branch.
    """
    told = select(Told.source_id).where(Told.github_id == hint.check_run_id, Told.key.startswith("check:"))
    through_check = and_(Source.repository_id == repository_id, Source.id.in_(told))
    raised = _raise(connection, through_check, at, is_rerun=True) if hint.check_run_id else 0
    return raised or _raise(
        connection,
        or_(
            _is(repository_id, SourceKind.PULL, [str(number) for number in hint.pull_requests]),
            _is(repository_id, SourceKind.BRANCH, [hint.branch]),
            and_(Source.repository_id == repository_id, Source.head_sha == hint.head_sha, Source.open),
        ),
        at,
        is_rerun=True,
    )


def _is(repository_id: int, kind: SourceKind, refs: Sequence[str]) -> ColumnElement[bool]:
    return and_(Source.repository_id == repository_id, Source.kind == kind, Source.ref.in_(refs))


def _raise(connection: Connection, which: ColumnElement[bool], at: datetime, *, is_rerun: bool = False) -> int:
    """Raise all that `which` holds for. They are locked in the order of their ids before the first is changed."""
    ids = connection.scalars(select(Source.id).where(which).order_by(Source.id).with_for_update()).all()
    changes = {Source.generation: Source.generation + 1, Source.updated_at: at}
    if is_rerun:
        changes[Source.rerun_generation] = Source.generation + 1
    for start in range(0, len(ids), _BATCH):
        connection.execute(update(Source).where(Source.id.in_(ids[start : start + _BATCH])).values(changes))
    return len(ids)
