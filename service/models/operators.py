"""What operators decide: the service's own id, targets, grants, limits; and the record of who did what."""

from datetime import datetime
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.models.base import Base, Id, Json, by_value
from stagedoor.target import ImageBuilds, Trust


class ServiceIdentity(Base):
    """This service's own id, one row: it is in the tags of every stack, and a sweep removes nothing without it."""

    __tablename__ = "service_identity"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uid: Mapped[str] = mapped_column(String(32), unique=True)
    created_at: Mapped[datetime]


class TargetRow(Base):
    """A `stagedoor.target.Target`, as its operator wrote it down."""

    __tablename__ = "targets"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    account: Mapped[str] = mapped_column(String(12))
    region: Mapped[str] = mapped_column(String(32))
    partition: Mapped[str] = mapped_column(String(16), default="aws")
    trust: Mapped[Trust] = mapped_column(by_value(Trust))
    qualifier: Mapped[str] = mapped_column(String(16), default="hnb659fds")
    deploy_role: Mapped[str | None]
    execution_role: Mapped[str | None]
    publish_role: Mapped[str | None]
    lookup_role: Mapped[str | None]
    external_id: Mapped[str | None]
    permissions_boundary: Mapped[str | None]
    image_builds: Mapped[ImageBuilds] = mapped_column(by_value(ImageBuilds), server_default=ImageBuilds.REFUSED.value)
    denied_types: Mapped[list[Any] | None]  # None: as the target's trust has it
    allowed_transforms: Mapped[list[Any] | None]
    assembly_limits: Mapped[Json | None]  # those of `stagedoor.assembly.inspection.InspectionLimits` that are not usual
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
