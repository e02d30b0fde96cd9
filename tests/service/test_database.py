"""Connections: what a database that went away and came back costs."""

from sqlalchemy import create_engine, text

from service.database import make_engine


def test_a_connection_that_the_server_ended_is_replaced_before_anybody_uses_it(postgres_url):
    engine = make_engine(postgres_url)
    with engine.connect() as connection:
        first = connection.scalar(text("SELECT pg_backend_pid()"))
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        assert connection.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": first})
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) != first
    with engine.connect() as connection:
        second = connection.scalar(text("SELECT pg_backend_pid()"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) == second, "a healthy one is kept"
    admin.dispose()
    engine.dispose()
