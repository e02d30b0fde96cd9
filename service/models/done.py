"""What was done: runs and their steps, plans, the stacks of a stage, assemblies, and what GitHub was told."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, Integer, String, UniqueConstraint, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.models.base import Base, Id, Json, by_value
from service.models.wanted import Intent, Stage, Want
from stagedoor.target import Trust


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
    """One attempt to deploy or remove a stage. `error` holds id, what, remedy, detail and where of what went wrong.

    A run with a `blocked_reason` and no outcome waits for something (a workflow) and is held by nobody; whoever takes
    the stage next goes on with it. `assembly_id` is the assembly that it deployed, as the app wrote it.
    """

    __tablename__ = "runs"
    __table_args__ = (Index(None, "stage_id", "id"), Index(None, "assembly_id"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    intent_id: Mapped[int] = mapped_column(ForeignKey("intents.id"))
    generation: Mapped[int] = mapped_column(BigInteger)
    fence: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[RunKind] = mapped_column(by_value(RunKind))
    commit: Mapped[str | None] = mapped_column(String(64))
    priority: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[datetime | None]
    blocked_reason: Mapped[str | None]
    cancel_requested: Mapped[bool] = mapped_column(Boolean, default=False)
    cancelled_by: Mapped[str] = mapped_column(String(255), default="", server_default="")
    phase: Mapped[str] = mapped_column(String(32), default="")
    outcome: Mapped[Outcome | None] = mapped_column(by_value(Outcome))
    error: Mapped[Json | None]
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    seconds: Mapped[Json] = mapped_column(default=dict)  # by phase
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    assembly_id: Mapped[int | None] = mapped_column(ForeignKey("assemblies.id"))
    log_kept: Mapped[bool] = mapped_column(Boolean, default=True, server_default=true())

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


class PlanRow(Base):
    """A plan that somebody asked for: what a deploy of a commit or an assembly would do to a stage, which it changes in
    nothing. It needs no lease: `holder` is the process that makes it, until `lease_until`.

    `blob` is where the plan is in the store (`stagedoor.deploy.plan_json`); empty: there is none. Its outcome is
    `unchanged` where there is nothing to do. `unmerged`: whoever asked could not have the commit deployed, so its code
    is run as a preview's.
    """

    __tablename__ = "plans"
    __table_args__ = (Index(None, "stage_id", "id"), Index(None, "outcome"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    want: Mapped[Want] = mapped_column(by_value(Want))
    commit: Mapped[str | None] = mapped_column(String(64))
    assembly_id: Mapped[int | None] = mapped_column(ForeignKey("assemblies.id"))
    unmerged: Mapped[bool] = mapped_column(Boolean)
    actor: Mapped[str] = mapped_column(String(255))
    phase: Mapped[str] = mapped_column(String(32), default="")
    blocked_reason: Mapped[str | None]
    outcome: Mapped[Outcome | None] = mapped_column(by_value(Outcome))
    error: Mapped[Json | None]
    blob: Mapped[str] = mapped_column(String(255), default="")
    holder: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[datetime | None]
    rung_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    stage: Mapped[Stage] = relationship()


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


class ContextValue(Base):
    """A fact about a target's account that an app looked up, under CDK's context key; `digest` is the key's SHA-256.

    Only keys that say what was asked are kept, so that no pull request decides what another one is told.
    """

    __tablename__ = "context_values"
    __table_args__ = (UniqueConstraint("target_id", "app_id", "digest"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    target_id: Mapped[int] = mapped_column(ForeignKey("targets.id"))
    app_id: Mapped[int] = mapped_column(ForeignKey("apps.id"))
    key: Mapped[str]
    digest: Mapped[str] = mapped_column(String(64))
    value: Mapped[Any] = mapped_column(JSON)
    read_at: Mapped[datetime]


class AssemblyRow(Base):
    """An assembly as its app wrote it, before it was made a stage's own. Never shared across trust levels.

    `digest` is of its files, `size` their bytes. `blob` is where it is in the store; empty: it is not kept, as it was
    too large or its time is over. `stage` is the stage that it was made for, where it would be wrong for another.
    """

    __tablename__ = "assemblies"
    __table_args__ = (UniqueConstraint("app_id", "trust", "digest"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    app_id: Mapped[int] = mapped_column(ForeignKey("apps.id"))
    trust: Mapped[Trust] = mapped_column(by_value(Trust))
    digest: Mapped[str] = mapped_column(String(64))
    commit: Mapped[str | None] = mapped_column(String(64))
    blob: Mapped[str] = mapped_column(String(255))
    stage: Mapped[str] = mapped_column(String(40), default="", server_default="")
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
