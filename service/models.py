"""The tables. SQL is the truth: what is not in here did not happen.

Every id of GitHub's is keyed by its host, since two GitHub servers number alike. Times are UTC. Rows that say what
happened (intents, runs, steps, audit) are appended and never rewritten.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from stagedoor.target import Trust

Id = BigInteger().with_variant(Integer, "sqlite")
Json = dict[str, Any]


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time. Stored as UTC; SQLite, which forgets the zone, gets it back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone, since nobody knows when it is."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return value if value is None or value.tzinfo else value.replace(tzinfo=UTC)


def _enum(kind: type[StrEnum]) -> Enum:
    """Store an enumeration by value, as text, so that a new member needs no migration of a database type."""
    return Enum(
        kind, native_enum=False, length=32, values_callable=lambda members: [member.value for member in members]
    )


class Base(DeclarativeBase):
    """All tables; constraints get predictable names so that migrations can speak of them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, Json: JSON, list[Any]: JSON, str: Text, bytes: LargeBinary}  # noqa: RUF012


# --- GitHub: who speaks to us -----------------------------------------------------------------------------------------


class GitHubHost(Base):
    """A GitHub server: github.com or an Enterprise one. `api_url` and `web_url` have no slash at their end."""

    __tablename__ = "github_hosts"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    api_url: Mapped[str]
    web_url: Mapped[str]


class Installation(Base):
    """The App, installed on an account. `removed_at` and `suspended_at` close the door without forgetting the past."""

    __tablename__ = "installations"
    __table_args__ = (UniqueConstraint("host_id", "github_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    host_id: Mapped[int] = mapped_column(ForeignKey("github_hosts.id"))
    github_id: Mapped[int] = mapped_column(BigInteger)
    account: Mapped[str] = mapped_column(String(255), default="")
    suspended_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    host: Mapped[GitHubHost] = relationship()


class Repository(Base):
    """A repository, known by its id; its name may change."""

    __tablename__ = "repositories"
    __table_args__ = (UniqueConstraint("host_id", "github_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    host_id: Mapped[int] = mapped_column(ForeignKey("github_hosts.id"))
    github_id: Mapped[int] = mapped_column(BigInteger)
    installation_id: Mapped[int | None] = mapped_column(ForeignKey("installations.id"))
    full_name: Mapped[str] = mapped_column(String(255))
    clone_url: Mapped[str]
    default_branch: Mapped[str] = mapped_column(String(255), default="main")
    removed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    host: Mapped[GitHubHost] = relationship()
    installation: Mapped[Installation | None] = relationship()


class Delivery(Base):
    """One webhook as GitHub sent it. `processed_at` is set in the transaction that acted on it, so a redelivery of one
    that was stored and never processed is processed, and of one that was is not.
    """

    __tablename__ = "deliveries"
    __table_args__ = (UniqueConstraint("host_id", "guid"), Index(None, "received_at"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    host_id: Mapped[int] = mapped_column(ForeignKey("github_hosts.id"))
    guid: Mapped[str] = mapped_column(String(64))
    event: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), default="")
    body: Mapped[bytes]
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(String(255), default="")


class ServiceIdentity(Base):
    """This service's own id, one row: it is in the tags of every stack, and a sweep removes nothing without it."""

    __tablename__ = "service_identity"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uid: Mapped[str] = mapped_column(String(32), unique=True)
    created_at: Mapped[datetime]


# --- Operators: where a stage may live --------------------------------------------------------------------------------


class TargetRow(Base):
    """A `stagedoor.target.Target`, as its operator wrote it down."""

    __tablename__ = "targets"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    account: Mapped[str] = mapped_column(String(12))
    region: Mapped[str] = mapped_column(String(32))
    partition: Mapped[str] = mapped_column(String(16), default="aws")
    trust: Mapped[Trust] = mapped_column(_enum(Trust))
    qualifier: Mapped[str] = mapped_column(String(16), default="hnb659fds")
    deploy_role: Mapped[str | None]
    execution_role: Mapped[str | None]
    publish_role: Mapped[str | None]
    lookup_role: Mapped[str | None]
    external_id: Mapped[str | None]
    permissions_boundary: Mapped[str | None]
    created_at: Mapped[datetime]


class Grant(Base):
    """Who may use a target: repositories, apps and stages by shell patterns (`acme/*`, `*`, `pr-*`)."""

    __tablename__ = "grants"
    __table_args__ = (UniqueConstraint("target_id", "host_id", "repository", "app", "stage"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"))
    host_id: Mapped[int | None] = mapped_column(ForeignKey("github_hosts.id"))
    repository: Mapped[str] = mapped_column(String(255))
    app: Mapped[str] = mapped_column(String(64), default="*")
    stage: Mapped[str] = mapped_column(String(64), default="*")
    created_at: Mapped[datetime]

    target: Mapped[TargetRow] = relationship()


# --- What is wanted ---------------------------------------------------------------------------------------------------


class App(Base):
    """A CDK program in a repository, at a path, with a name."""

    __tablename__ = "apps"
    __table_args__ = (UniqueConstraint("repository_id", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id"))
    name: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(default=".")
    created_at: Mapped[datetime]

    repository: Mapped[Repository] = relationship()


class SourceKind(StrEnum):
    """Where the wish for a stage comes from."""

    PULL = "pull"
    BRANCH = "branch"


class Source(Base):
    """A pull request or a branch: what stages are born from.

    A webhook only raises `generation`: something changed over there. A worker then asks GitHub what is true now and
    says so in the stages' intents. `rerun_generation` is the newest generation at which somebody asked for the same
    again. `reads_begun` numbers those questions and `read_written` is the newest whose answer
    was written, so that a slow answer never overwrites a newer one. The other columns are what was last seen.
    """

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("repository_id", "kind", "ref"), Index(None, "generation", "done_generation"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id"))
    kind: Mapped[SourceKind] = mapped_column(_enum(SourceKind))
    ref: Mapped[str] = mapped_column(String(255))  # the pull request's number, or the branch's name
    open: Mapped[bool] = mapped_column(Boolean, default=True)
    head_sha: Mapped[str | None] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(default="")
    note: Mapped[Json | None]  # why there is no stage: a fork, a draft, a wrong configuration
    generation: Mapped[int] = mapped_column(BigInteger, default=0)
    done_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    rerun_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    reads_begun: Mapped[int] = mapped_column(BigInteger, default=0)
    read_written: Mapped[int] = mapped_column(BigInteger, default=0)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[datetime | None]
    rung_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    rung_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    repository: Mapped[Repository] = relationship()


class StageKind(StrEnum):
    """What a stage is for. A preview is born from a pull request and disposable."""

    PREVIEW = "preview"
    NAMED = "named"
    PERSONAL = "personal"


class Stage(Base):
    """One isolated copy of an app.

    `wanted_generation` is that of the newest intent, `done_generation` that of the last one brought to its end, good or
    bad. Target, prefix and identity are frozen at birth: what removal needs is in this row, whatever becomes of the
    repository. `fence` goes up with each lease; a holder whose fence is no longer this one may write nothing.
    """

    __tablename__ = "stages"
    __table_args__ = (
        UniqueConstraint("app_id", "name"),
        UniqueConstraint("target_id", "prefix"),
        Index(None, "wanted_generation", "done_generation"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    app_id: Mapped[int] = mapped_column(ForeignKey("apps.id"))
    source_id: Mapped[int | None] = mapped_column(ForeignKey("sources.id"))
    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"))
    name: Mapped[str] = mapped_column(String(40))
    kind: Mapped[StageKind] = mapped_column(_enum(StageKind))
    owner: Mapped[str] = mapped_column(String(255), default="")
    frozen_target: Mapped[Json]
    prefix: Mapped[str] = mapped_column(String(64))
    trust: Mapped[Trust] = mapped_column(_enum(Trust))
    environment: Mapped[str] = mapped_column(String(255), default="preview")
    protected: Mapped[bool] = mapped_column(Boolean, default=False)
    pinned: Mapped[bool] = mapped_column(Boolean, default=False)
    expires_at: Mapped[datetime | None]
    last_activity_at: Mapped[datetime]
    outputs: Mapped[Json] = mapped_column(default=dict)
    live_commit: Mapped[str | None] = mapped_column(String(64))  # None: nothing of it is in AWS
    assembly_id: Mapped[int | None] = mapped_column(ForeignKey("assemblies.id"))
    config_digest: Mapped[str] = mapped_column(String(64), default="")
    wanted_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    done_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    holder: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[datetime | None]
    rung_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    rung_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    app: Mapped[App] = relationship()
    source: Mapped[Source | None] = relationship()
    target: Mapped[TargetRow] = relationship()


class Want(StrEnum):
    """What an intent asks for."""

    COMMIT = "commit"
    ASSEMBLY = "assembly"
    GONE = "gone"


class Intent(Base):
    """One change of what is wanted of a stage. Appended only; the one with the highest generation is the wish."""

    __tablename__ = "intents"
    __table_args__ = (UniqueConstraint("stage_id", "generation"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    generation: Mapped[int] = mapped_column(BigInteger)
    want: Mapped[Want] = mapped_column(_enum(Want))
    commit: Mapped[str | None] = mapped_column(String(64))
    assembly_id: Mapped[int | None] = mapped_column(ForeignKey("assemblies.id"))
    cause: Mapped[str] = mapped_column(String(64))  # opened, pushed, closed, rerequested, expired, …
    actor: Mapped[str] = mapped_column(String(255), default="")
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"))
    settings: Mapped[Json] = mapped_column(default=dict)  # what stagedoor.toml said of this app at that time
    config_digest: Mapped[str] = mapped_column(String(64), default="")
    approval: Mapped[Json | None]
    created_at: Mapped[datetime]


# --- What was done ----------------------------------------------------------------------------------------------------


class RunKind(StrEnum):
    """What a run does."""

    DEPLOY = "deploy"
    REMOVE = "remove"


class Outcome(StrEnum):
    """How a run ended. A run without one is under way, or its process died and the next one will say `lost`."""

    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"
    FAILED = "failed"  # the app's or its author's doing; tried again when something changes
    ERRORED = "errored"  # ours, AWS's or GitHub's doing; tried again by itself
    SUPERSEDED = "superseded"  # something newer was wanted before it changed anything
    CANCELLED = "cancelled"
    LOST = "lost"  # its process died; the next run took over


class Run(Base):
    """One attempt to deploy or remove a stage. `error` holds id, what, remedy, detail and where of what went wrong."""

    __tablename__ = "runs"
    __table_args__ = (Index(None, "stage_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    intent_id: Mapped[int] = mapped_column(ForeignKey("intents.id"))
    generation: Mapped[int] = mapped_column(BigInteger)
    fence: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[RunKind] = mapped_column(_enum(RunKind))
    commit: Mapped[str | None] = mapped_column(String(64))
    priority: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[datetime | None]
    blocked_reason: Mapped[str | None]
    cancel_requested: Mapped[bool] = mapped_column(Boolean, default=False)
    phase: Mapped[str] = mapped_column(String(32), default="")
    outcome: Mapped[Outcome | None] = mapped_column(_enum(Outcome))
    error: Mapped[Json | None]
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    seconds: Mapped[Json] = mapped_column(default=dict)  # by phase
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    stage: Mapped[Stage] = relationship()
    intent: Mapped[Intent] = relationship()


class RunStep(Base):
    """One changing operation of a run, written before the call and after it (`stagedoor.deploy.ledger.Step`)."""

    __tablename__ = "run_steps"
    __table_args__ = (UniqueConstraint("run_id", "operation", "subject", "attempt"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id"))
    operation: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
    attempt: Mapped[int] = mapped_column(Integer)
    token: Mapped[str] = mapped_column(String(128), unique=True)
    before: Mapped[Json] = mapped_column(default=dict)
    after: Mapped[Json] = mapped_column(default=dict)
    outcome: Mapped[str | None] = mapped_column(String(32))
    begun_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class StageStack(Base):
    """A stack that a stage has, or had, in AWS: what removal needs when the app's source is gone."""

    __tablename__ = "stage_stacks"
    __table_args__ = (UniqueConstraint("stage_id", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    name: Mapped[str] = mapped_column(String(128))
    arn: Mapped[str | None]
    ordinal: Mapped[int] = mapped_column(Integer, default=0)  # deployed in this order, removed in the reverse
    template_digest: Mapped[str] = mapped_column(String(64), default="")
    drift: Mapped[Json] = mapped_column(default=dict)  # what hotswap changed behind CloudFormation's back
    updated_at: Mapped[datetime]


class AssemblyRow(Base):
    """An assembly in the blob store. Never shared across trust levels."""

    __tablename__ = "assemblies"
    __table_args__ = (UniqueConstraint("app_id", "trust", "digest"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    app_id: Mapped[int] = mapped_column(ForeignKey("apps.id"))
    trust: Mapped[Trust] = mapped_column(_enum(Trust))
    digest: Mapped[str] = mapped_column(String(64))
    commit: Mapped[str | None] = mapped_column(String(64))
    blob: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime]


class Told(Base):
    """What GitHub was told, so that a retry updates and never doubles.

    `key` names the thing within its source: `comment`, `check:<app>:<sha>`, `deployment:<app>:<generation>`. The row is
    there before the call is made; one without a `github_id` may or may not exist over there, and is looked for first.
    The key `claim` stands for the right to tell, held by one process at a time (`state` names it).
    """

    __tablename__ = "told"
    __table_args__ = (UniqueConstraint("source_id", "key"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    stage_id: Mapped[int | None] = mapped_column(ForeignKey("stages.id"))
    key: Mapped[str] = mapped_column(String(255))
    github_id: Mapped[int | None] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(32), default="")
    digest: Mapped[str] = mapped_column(String(64), default="")  # of what it says now
    url: Mapped[str] = mapped_column(default="")
    updated_at: Mapped[datetime]


# --- Later parts' tables, here from the first migration ---------------------------------------------------------------


class Session(Base):
    """A developer's tunnel into a stage."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    developer: Mapped[str] = mapped_column(String(255))
    functions: Mapped[list[Any]] = mapped_column(default=list)
    opened_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class Invocation(Base):
    """One Lambda event that went through a tunnel, and its result."""

    __tablename__ = "invocations"
    __table_args__ = (Index(None, "stage_id", "received_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    session_id: Mapped[int | None] = mapped_column(ForeignKey("sessions.id"))
    function: Mapped[str] = mapped_column(String(255))
    request_id: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(32), default="")
    bytes_in: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_out: Mapped[int] = mapped_column(BigInteger, default=0)
    times: Mapped[Json] = mapped_column(default=dict)
    received_at: Mapped[datetime]


class Secret(Base):
    """A secret's reference; its value is elsewhere, sealed with the envelope key named here."""

    __tablename__ = "secrets"
    __table_args__ = (UniqueConstraint("app_id", "stage_pattern", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    app_id: Mapped[int] = mapped_column(ForeignKey("apps.id"))
    stage_pattern: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(128))
    reference: Mapped[str]
    envelope_key: Mapped[str] = mapped_column(String(255))
    updated_at: Mapped[datetime]


class Limit(Base):
    """How much of something a repository or a target may use at once."""

    __tablename__ = "limits"
    __table_args__ = (UniqueConstraint("scope", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    scope: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(64))
    value: Mapped[float] = mapped_column(Float)


class Audit(Base):
    """Who did what to which stage."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(255))
    action: Mapped[str] = mapped_column(String(64))
    stage_id: Mapped[int | None] = mapped_column(ForeignKey("stages.id"))
    subject: Mapped[str] = mapped_column(String(255), default="")
    data: Mapped[Json] = mapped_column(default=dict)
