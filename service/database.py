"""The engine, the sessions and the clock of the database.

PostgreSQL serves many processes on many machines; SQLite serves a laptop. Both are spoken to in one way: short
transactions that begin by writing, or by taking the lock that a writer will need.
"""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from select import POLLERR, POLLHUP, POLLIN, poll
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from stagedoor.errors import UserError

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
MIGRATION_LOCK = 0x57A6ED00  # any number that no other program locks in this database
SQLITE_BUSY_SECONDS = 30
IDLE_TRANSACTION_SECONDS = 5
"""After which PostgreSQL ends a transaction whose process says nothing. Ours never wait for anything but the database:
such a process is frozen, or its machine is gone, and the rows that it locked are needed, by webhooks too, which GitHub
gives ten seconds."""

# What the server (the first) and the client do about a peer that has vanished without a word.
_SERVER_KEEPALIVES = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
_CLIENT_KEEPALIVES = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}

Sessions = sessionmaker[Session]


def make_engine(url: str) -> Engine:
    """Return an engine for `url`. It connects at first use, so it can be made before a fork and used after it."""
    if url.startswith("sqlite:"):
        return _sqlite_engine(url)
    idle = f"-c idle_in_transaction_session_timeout={IDLE_TRANSACTION_SECONDS}s"
    arguments = {"options": f"{idle} {_SERVER_KEEPALIVES}", **_CLIENT_KEEPALIVES}
    given = make_url(url).query  # what the operator's URL says comes first
    arguments = {name: value for name, value in arguments.items() if name not in given}
    engine = create_engine(url, pool_size=10, max_overflow=20, connect_args=arguments)

    @event.listens_for(engine, "checkout")
    def _look(connection: DBAPIConnection, _entry: ConnectionPoolEntry, _proxy: object) -> None:
        # What a server that went away leaves behind is an idle socket with something to read: its goodbye. To see that
        # costs no round trip; SQLAlchemy's own `pool_pre_ping` asks the server each time.
        if not _is_quiet(connection):
            raise DisconnectionError

    return engine


def _is_quiet(connection: DBAPIConnection) -> bool:
    """Tell whether an idle connection is open and its server has said nothing on it."""
    if connection.closed:
        return False
    waiting = poll()
    waiting.register(connection.fileno(), POLLIN | POLLERR | POLLHUP)
    return not waiting.poll(0)


def _sqlite_engine(url: str) -> Engine:
    path = url.removeprefix("sqlite:///")
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": SQLITE_BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        # sqlite3 would begin transactions by itself, deferred; we begin them below.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that reads and then writes fails at once when another wrote in between; an immediate
        # one waits its turn. https://www.sqlite.org/lang_transaction.html
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def make_sessions(engine: Engine) -> Sessions:
    """Return the factory of sessions; objects stay readable after a commit."""
    return sessionmaker(engine, expire_on_commit=False)


def now(session: Session) -> datetime:
    """Return the time by the database's clock, which is the same for every process on every machine.

    On PostgreSQL that is the clock of the server, not the start of the transaction; SQLite has no other machine.
    """
    if session.get_bind().dialect.name == "postgresql":
        moment: Any = session.execute(select(func.clock_timestamp())).scalar_one()
        return moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
    return datetime.now(UTC)


def insert_into(table: type[DeclarativeBase], dialect: str) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT that can say what to do on a conflict, in the words of the database."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def alone(session: Session) -> None:
    """Let no other service that starts at this moment go on until the transaction ends. SQLite's are alone anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})


def alembic_config(engine: Engine) -> Config:
    """Return Alembic's configuration for this engine; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = engine
    return config


def migrate(engine: Engine) -> None:
    """Bring the database to the newest revision. Safe when several processes start at once."""
    config = alembic_config(engine)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
            connection.commit()


class SchemaState(StrEnum):
    """What this version's code makes of the database that it finds."""

    OUT_OF_REACH = "out of reach"
    OLDER = "older, or empty"
    CURRENT = "current"
    NEWER = "newer"


class SchemaNewer(UserError):
    """The database was migrated by a version of Stagedoor that this one does not know."""

    id = "schema-newer"


def schema_state(engine: Engine) -> SchemaState:
    """Return how the database's revision stands to the newest that this code has a migration for."""
    try:
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except OperationalError:
        return SchemaState.OUT_OF_REACH
    script = ScriptDirectory.from_config(alembic_config(engine))
    if found == script.get_current_head():
        return SchemaState.CURRENT
    known = {revision.revision for revision in script.walk_revisions()}
    return SchemaState.OLDER if found is None or found in known else SchemaState.NEWER


def refuse_newer(engine: Engine) -> None:
    """Raise `SchemaNewer` when this code is older than the database: it would not know what it reads."""
    if schema_state(engine) is SchemaState.NEWER:
        raise SchemaNewer(
            "The database was brought up to date by a newer version of Stagedoor than this one.",
            "Run that version, or go back as docs/upgrade.md says.",
        )
