"""The real parts that tests stand on: PostgreSQL, SQLite, Valkey, the local AWS and the local GitHub."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.database import Sessions, make_engine, make_sessions, migrate
from tests.postgres import DatabaseUrl, fresh_database, running_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[DatabaseUrl]:
    """A real PostgreSQL of this test process's own."""
    with running_postgres() as url_of:
        yield url_of


@pytest.fixture
def postgres_url(postgres_server: DatabaseUrl) -> Iterator[str]:
    """An empty database on PostgreSQL, of this test's own."""
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path}/stagedoor.sqlite"


@pytest.fixture
def database(database_url: str) -> Iterator[Sessions]:
    """A migrated database, once on SQLite and once on PostgreSQL."""
    engine = make_engine(database_url)
    migrate(engine)
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Sessions]:
    """A migrated database on PostgreSQL only, where a test is about many writers at once."""
    engine: Engine = make_engine(postgres_url)
    migrate(engine)
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("STAGEDOOR_", "AWS_ACCESS", "AWS_SECRET", "AWS_PROFILE")):
            monkeypatch.delenv(name)
