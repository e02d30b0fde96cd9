"""Live: which functions of a stage may run on a developer's machine, who is there, and what went through."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, Id, Json


class LiveFunction(Base):
    """A Lambda function of a stage, by its physical name; `reason` says why one is not live. `place` is where it is in
    the app's templates (see `stagedoor.deploy.functions`).

    A bridge must prove that it has this role and this name before it gets a token.
    """

    __tablename__ = "live_functions"
    __table_args__ = (UniqueConstraint("stage_id", "name"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    name: Mapped[str] = mapped_column(String(140))
    arn: Mapped[str]
    role: Mapped[str]  # an ARN
    timeout_s: Mapped[int] = mapped_column(Integer)  # the app's own, not the raised one
    runtime: Mapped[str] = mapped_column(String(32), default="")
    handler: Mapped[str] = mapped_column(default="")
    live: Mapped[bool] = mapped_column(Boolean)
    reason: Mapped[str] = mapped_column(default="")
    place: Mapped[str] = mapped_column(default="", server_default="")
    registered_at: Mapped[datetime]


class Session(Base):
    """A developer's tunnel into a stage, for as long as the agent runs. `functions`: those it claims; empty: any."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "stage_id", "closed_at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    developer: Mapped[str] = mapped_column(String(255))
    functions: Mapped[list[Any]] = mapped_column(default=list)
    opened_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class Invocation(Base):
    """One Lambda event that was asked for, and its result. `event` and `result` only where the stage keeps them.

    `times` are milliseconds since the epoch: `received` (asked of the relay), `offered` (to the agent), `custody` (the
    agent has it), `started` and `ended` (the handler, by the agent's clock), `answered` (handed to the bridge).
    """

    __tablename__ = "invocations"
    __table_args__ = (Index(None, "stage_id", "received_at"), Index(None, "received_at"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    stage_id: Mapped[int] = mapped_column(ForeignKey("stages.id"))
    session_id: Mapped[int | None] = mapped_column(ForeignKey("sessions.id"))
    function: Mapped[str] = mapped_column(String(255))
    request_id: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[str] = mapped_column(String(128), default="", server_default="")
    developer: Mapped[str] = mapped_column(String(255), default="", server_default="")
    outcome: Mapped[str] = mapped_column(String(32), default="")
    error_type: Mapped[str] = mapped_column(String(255), default="", server_default="")
    bytes_in: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_out: Mapped[int] = mapped_column(BigInteger, default=0)
    times: Mapped[Json] = mapped_column(default=dict)
    event: Mapped[bytes | None]
    result: Mapped[bytes | None]
    replay_of: Mapped[int | None] = mapped_column(BigInteger)
    received_at: Mapped[datetime]
