"""What is wanted: apps, the pull requests and branches that stages are born from, stages, intents."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.models.base import Base, Id, Json, by_value
from service.models.github import Repository
from service.models.operators import TargetRow
from stagedoor.target import Trust


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
    again, `workflow_generation` the newest at which a workflow had ended. `reads_begun` numbers those questions and
    `read_written` is the newest whose answer was written, so that a slow answer never overwrites a newer one. The other
    columns are what was last seen.
    """

    __tablename__ = "sources"
    __table_args__ = (UniqueConstraint("repository_id", "kind", "ref"), Index(None, "generation", "done_generation"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id"))
    kind: Mapped[SourceKind] = mapped_column(by_value(SourceKind))
    ref: Mapped[str] = mapped_column(String(255))  # the pull request's number, or the branch's name
    open: Mapped[bool] = mapped_column(Boolean, default=True)
    head_sha: Mapped[str | None] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(default="")
    note: Mapped[Json | None]  # why there is no stage: a fork, a draft, a wrong configuration
    generation: Mapped[int] = mapped_column(BigInteger, default=0)
    done_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    rerun_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    workflow_generation: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    reads_begun: Mapped[int] = mapped_column(BigInteger, default=0)
    read_written: Mapped[int] = mapped_column(BigInteger, default=0)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[datetime | None]
    rung_generation: Mapped[int] = mapped_column(BigInteger, default=0)
    rung_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    repository: Mapped[Repository] = relationship()


class ApprovalState(StrEnum):
    """What became of a maintainer's word on a pull request from a fork."""

    ASKED = "asked"  # GitHub has not been asked yet what its author may do
    GRANTED = "granted"
    REFUSED = "refused"


class Approval(Base):
    """A comment `/deploy <sha>`, as its webhook told it: bound to that commit, whatever is pushed or edited later."""

    __tablename__ = "approvals"
    __table_args__ = (UniqueConstraint("source_id", "comment_id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"))
    comment_id: Mapped[int] = mapped_column(BigInteger)
    login: Mapped[str] = mapped_column(String(255))
    user_id: Mapped[int] = mapped_column(BigInteger)
    sha: Mapped[str] = mapped_column(String(64))
    state: Mapped[ApprovalState] = mapped_column(by_value(ApprovalState), default=ApprovalState.ASKED)
    reason: Mapped[str] = mapped_column(String(255), default="")
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]


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
    `wished_digest` says what its source wished last: what a person asked for since (a roll-back, say) holds until the
    source wishes something else. None: nothing is known of that; empty: that it be gone.
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
    kind: Mapped[StageKind] = mapped_column(by_value(StageKind))
    owner: Mapped[str] = mapped_column(String(255), default="")
    frozen_target: Mapped[Json]
    prefix: Mapped[str] = mapped_column(String(64))
    trust: Mapped[Trust] = mapped_column(by_value(Trust))
    environment: Mapped[str] = mapped_column(String(255), default="preview")
    protected: Mapped[bool] = mapped_column(Boolean, default=False)
    pinned: Mapped[bool] = mapped_column(Boolean, default=False)
    expires_at: Mapped[datetime | None]
    last_activity_at: Mapped[datetime]
    outputs: Mapped[Json] = mapped_column(default=dict)
    keeps_payloads: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())  # of live invocations
    live_commit: Mapped[str | None] = mapped_column(String(64))  # None: nothing of it is in AWS
    assembly_id: Mapped[int | None] = mapped_column(ForeignKey("assemblies.id"))
    config_digest: Mapped[str] = mapped_column(String(64), default="")
    wished_digest: Mapped[str | None] = mapped_column(String(64))
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
    want: Mapped[Want] = mapped_column(by_value(Want))
    commit: Mapped[str | None] = mapped_column(String(64))
    assembly_id: Mapped[int | None] = mapped_column(ForeignKey("assemblies.id"))
    cause: Mapped[str] = mapped_column(String(64))  # opened, pushed, closed, rerequested, expired, …
    actor: Mapped[str] = mapped_column(String(255), default="")
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"))
    settings: Mapped[Json] = mapped_column(default=dict)  # what stagedoor.toml said of this app at that time
    config_digest: Mapped[str] = mapped_column(String(64), default="")
    approval: Mapped[Json | None]
    created_at: Mapped[datetime]
