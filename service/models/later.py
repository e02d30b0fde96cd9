"""Tables that later parts use; here from the first migration, so that no data have to be moved for them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, Id, Json


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
