"""The record of who did what to which stage. Rows are appended, in the transaction of what they tell of."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from service.access.callers import Caller
from service.database import now
from service.models import Audit

_LENGTHS = {"actor": 255, "action": 64, "subject": 255}


def audit(
    session: Session,
    who: Caller | str,
    action: str,
    *,
    stage_id: int | None = None,
    subject: str = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write down that somebody did something; it counts if the transaction does.

    `action` is a word such as `deploy`, `cancel` or `token-created`; `subject` is what it was done to, where that is no
    stage or more than one (`run 17`, `token nightly`). No secret belongs in `data`.
    """
    texts = {"actor": who if isinstance(who, str) else who.name, "action": action, "subject": subject}
    cut = {name: text[: _LENGTHS[name]] for name, text in texts.items()}
    session.add(Audit(at=now(session), stage_id=stage_id, data=dict(data or {}), **cut))
