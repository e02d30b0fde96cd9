"""The real parts that tests stand on: PostgreSQL, SQLite, Valkey, the local AWS and the local GitHub."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from sqlalchemy import Engine, make_url

from service.database import Sessions, make_engine, make_sessions, migrate
from tests.postgres import DatabaseUrl, fresh_database, running_postgres

_NICENESS = 5


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let tests of the whole service, which is held to GitHub's ten seconds, come before what is tested beside them:
    the other test processes, and all that they start, are nicer from their first test on.
    """
    group = item.get_closest_marker("xdist_group")
    is_served_first = group is not None and group.args == ("whole service",)
    if "PYTEST_XDIST_WORKER" in os.environ and not is_served_first and os.nice(0) == 0:
        os.nice(_NICENESS)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[DatabaseUrl]:
    """A real PostgreSQL of this test process's own."""
    with running_postgres() as url_of:
        yield url_of


@pytest.fixture(scope="session")
def postgres_template(postgres_server: DatabaseUrl) -> Iterator[str]:
    """The name of a migrated database that others are made like, in a third of the time that migrations take."""
    with fresh_database(postgres_server) as url:
        _migrated(url)
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a migrated database."""
    file = tmp_path_factory.mktemp("template") / "stagedoor.sqlite"
    _migrated(f"sqlite:///{file}")
    return file


@pytest.fixture
def postgres_url(postgres_server: DatabaseUrl, postgres_template: str) -> Iterator[str]:
    """A migrated database on PostgreSQL, of this test's own."""
    with fresh_database(postgres_server, postgres_template) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database, once on SQLite and once on PostgreSQL."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    file = tmp_path / "stagedoor.sqlite"
    shutil.copy(request.getfixturevalue("sqlite_template"), file)
    return f"sqlite:///{file}"


@pytest.fixture
def database(database_url: str) -> Iterator[Sessions]:
    """A migrated database, once on SQLite and once on PostgreSQL."""
    engine = make_engine(database_url)
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Sessions]:
    """A migrated database on PostgreSQL only, where a test is about many writers at once."""
    engine: Engine = make_engine(postgres_url)
    yield make_sessions(engine)
    engine.dispose()


def _migrated(url: str) -> None:
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("STAGEDOOR_", "AWS_ACCESS", "AWS_SECRET", "AWS_PROFILE")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _descriptions_are_read_once() -> Iterator[None]:
    """What botocore has read of AWS's services is known to each session of the AWS SDK that a test makes.

    A client then takes 9 ms of processor time and not 55. What is tested has a loader of its own that reads for itself
    (`stagedoor.deploy.descriptions`).
    """
    known: dict[object, object] = {}
    make = Loader.__init__

    def make_knowing(self: Loader, *arguments: Any, **more: Any) -> None:
        make(self, *arguments, **more)
        if type(self) is Loader:
            vars(self)["_cache"] = known

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "__init__", make_knowing)
        yield
