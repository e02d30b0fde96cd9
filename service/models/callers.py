"""What is remembered of callers: the tokens of machines, and which of GitHub Actions' tokens were shown already."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.models.base import Base, Id
from service.models.github import Repository


class MachineToken(Base):
    """A token of a machine, for stages of one repository. `digest` is the secret's SHA-256 in hexadecimal, `hint` what
    the secret begins with, by which people tell their tokens apart. `rights` are words, parted by spaces.
    """

    __tablename__ = "machine_tokens"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    repository_id: Mapped[int] = mapped_column(ForeignKey("repositories.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    stage: Mapped[str] = mapped_column(String(64))  # a pattern
    rights: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(16))
    created_by: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]  # to the minute
    revoked_at: Mapped[datetime | None]

    repository: Mapped[Repository] = relationship()


class UsedJti(Base):
    """A token of an OIDC issuer that was shown: it is taken once. `digest` is of the issuer and the token's `jti`; the
    row goes when the token is over anyway.
    """

    __tablename__ = "used_jtis"
    __table_args__ = (Index(None, "expires_at"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime]
