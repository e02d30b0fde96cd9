"""GitHub: hosts, installations, repositories, and the webhooks that came from them."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.models.base import Base, Id


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
    searched_at: Mapped[datetime | None]  # for what no webhook told
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
