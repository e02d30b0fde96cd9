"""Alembic's environment: migrations run on the engine that `service.database` hands over."""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import Connection

from service.models import Base


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        user_module_prefix="service.models.",
    )
    with _references_unchecked(connection), context.begin_transaction():
        context.run_migrations()


@contextmanager
def _references_unchecked(connection: Connection) -> Iterator[None]:
    """On SQLite, let a table be dropped that others refer to: it alters one by putting a copy in its place
    (https://www.sqlite.org/lang_altertable.html, section 7). Commits, as the pragma does nothing in a transaction.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    sqlite = connection.connection.cursor()
    sqlite.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
        connection.commit()
    finally:
        connection.rollback()
        sqlite.execute("PRAGMA foreign_keys=ON")  # the connection goes back to the pool
        sqlite.close()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    with context.config.attributes["engine"].connect() as own:
        run(own)
        own.commit()
