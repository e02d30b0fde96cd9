"""Tables that later parts use; here from the first migration, so that no data have to be moved for them."""

from datetime import datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.models.base import Base, Id


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
