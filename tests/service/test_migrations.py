"""The migrations make exactly the tables that the models describe, on both databases, and can be taken back."""

from datetime import UTC, datetime
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, inspect, select, text
from sqlalchemy.exc import IntegrityError

from service.database import alembic_config, make_engine, migrate
from service.models import Base
from tests.postgres import fresh_database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.sqlite"
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        yield url


def test_migrated_database_has_no_drift_from_the_models(empty_database_url):
    engine = make_engine(empty_database_url)
    migrate(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_migrating_twice_changes_nothing(empty_database_url):
    engine = make_engine(empty_database_url)
    migrate(engine)
    migrate(engine)
    assert set(Base.metadata.tables) < set(inspect(engine).get_table_names())
    engine.dispose()


def test_migrations_can_be_taken_back(empty_database_url):
    engine = make_engine(empty_database_url)
    migrate(engine)
    command.downgrade(alembic_config(engine), "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    engine.dispose()


def tables_of(connection: Connection) -> list[Table]:
    """Return the tables that the database has, each after those that it refers to."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def value(column: Column[Any], number: int) -> Any:
    """Return what row `number` has in a column. References are to the row of the same number."""
    kind = column.type.python_type
    if kind is str:
        length = column.type.length if isinstance(column.type, String) else None
        return str(number).zfill(length or 1)
    made = {dict: {"number": number}, bytes: b"%d" % number, datetime: datetime(2026, 1, number, tzinfo=UTC)}
    return made.get(kind, number if kind is not bool else bool(number % 2))


def fill(engine: Engine) -> None:
    """Put two rows into each table that has none."""
    with engine.begin() as connection:
        for table in tables_of(connection):
            if not connection.execute(select(table)).all():
                rows = [{column.name: value(column, number) for column in table.columns} for number in (1, 2)]
                connection.execute(table.insert(), rows)


def rows_of(engine: Engine) -> dict[str, list[Any]]:
    with engine.connect() as connection:
        return {table.name: sorted(map(repr, connection.execute(select(table)))) for table in tables_of(connection)}


def test_what_the_tables_hold_comes_back_when_migrations_are_taken_back(empty_database_url):
    engine = make_engine(empty_database_url)
    config = alembic_config(engine)
    command.upgrade(config, "0001")
    fill(engine)
    first = rows_of(engine)
    migrate(engine)
    fill(engine)
    newest = rows_of(engine)
    command.downgrade(config, "0001")
    assert rows_of(engine) == first
    migrate(engine)
    assert {name: len(rows) for name, rows in rows_of(engine).items()} == dict.fromkeys(newest, 0) | dict.fromkeys(
        first, 2
    )
    with engine.begin() as connection, pytest.raises(IntegrityError):  # references are looked at again
        connection.execute(text("DELETE FROM github_hosts"))
    engine.dispose()
