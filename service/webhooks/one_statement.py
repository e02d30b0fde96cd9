"""Nearly every delivery in one statement: its row and what it raises, where everything it names is known as it says.

PostgreSQL alone: its `WITH` may change data, and a statement is a transaction of its own there
(https://www.postgresql.org/docs/current/queries-with.html#QUERIES-WITH-MODIFYING). So a delivery costs one round trip
where a transaction of two statements costs four. What this does not cover, `record.py` does step by step.
"""

from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Engine,
    LargeBinary,
    Select,
    String,
    and_,
    bindparam,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.schema import ScalarElementColumnDefault

from service.models import Base, Delivery, GitHubHost, Installation, Repository, Source, UtcDateTime

DIALECT = "postgresql"


def record_known(engine: Engine, delivery: dict[str, Any], seen: dict[str, Any]) -> bool | None:
    """Store a delivery and raise its source; return whether it was new, or None where nothing was done: the host or the
    repository is not known, or not as this delivery names it.

    `delivery` has the columns of `deliveries` that came with it, `seen` the source's `kind` and `ref` and the
    `repository`, `full_name`, `default_branch`, `installation` and `host` that its payload names.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        row = connection.execute(_statement(), {**delivery, **seen}).one_or_none()
    return None if row is None else row.stored is not None


@cache
def _statement() -> Select[Any]:
    """Return the statement. Built once: building it takes longer than running it."""
    known, at = _known_place(), bindparam("received_at", type_=UtcDateTime())
    stored = _stored(known, at)
    row = {
        **_defaults(Source),
        "repository_id": known.c.repository_id,
        "kind": bindparam("kind", type_=Source.kind.type),
        "ref": bindparam("ref", type_=String()),
        "generation": literal(1),
        "created_at": at,
        "updated_at": at,
    }
    raise_source = insert(Source).from_select(
        list(row), select(*row.values()).select_from(known.join(stored, true())), include_defaults=False
    )
    raised = raise_source.on_conflict_do_update(
        index_elements=["repository_id", "kind", "ref"],
        set_={"generation": Source.generation + 1, "updated_at": raise_source.excluded.updated_at},
    ).cte("raised")
    return select(stored.c.host_id.label("stored")).select_from(known.outerjoin(stored, true())).add_cte(raised)


def _defaults(table: type[Base]) -> dict[str, ColumnElement[Any]]:
    """Return what SQLAlchemy puts into a new row by itself; not inside a `WITH`, where it would put NULL."""
    return {
        column.name: literal(column.default.arg, column.type)
        for column in table.__table__.columns
        if isinstance(column.default, ScalarElementColumnDefault)
    }


def _known_place() -> CTE:
    """Return the repository's row, where it is just as the payload names it."""
    default_branch = bindparam("default_branch", type_=String())
    installation = bindparam("installation", type_=BigInteger())
    return (
        select(Repository.id.label("repository_id"), Repository.host_id)
        .join(GitHubHost, GitHubHost.id == Repository.host_id)
        .outerjoin(Installation, Installation.id == Repository.installation_id)
        .where(
            and_(
                GitHubHost.name == bindparam("host", type_=String()),
                Repository.github_id == bindparam("repository", type_=BigInteger()),
                Repository.full_name == bindparam("full_name", type_=String()),
                or_(default_branch.is_(None), Repository.default_branch == default_branch),
                or_(installation.is_(None), Installation.github_id == installation),
            )
        )
        .cte("known")
    )


def _stored(known: CTE, at: Any) -> CTE:
    """Return the delivery's row, stored; none where one of its id was processed before."""
    store = insert(Delivery).from_select(
        ["host_id", "guid", "event", "action", "body", "received_at", "processed_at", "outcome"],
        select(
            known.c.host_id,
            bindparam("guid", type_=String()),
            bindparam("event", type_=String()),
            bindparam("action", type_=String()),
            bindparam("body", type_=LargeBinary()),
            at,
            at,
            bindparam("outcome", type_=String()),
        ),
    )
    return (
        store.on_conflict_do_update(
            index_elements=["host_id", "guid"],
            set_={"processed_at": store.excluded.processed_at, "outcome": store.excluded.outcome},
            where=Delivery.processed_at.is_(None),
        )
        .returning(Delivery.host_id)
        .cte("stored")
    )
