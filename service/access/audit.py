"""The record of who did what to which stage. Rows are appended, in the transaction of what they tell of."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from service.access.callers import Caller
from service.database import now
from service.models import Audit, MachineToken

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
    stage or more than one (`run 17`, `token nightly`). No secret belongs in `data`. How the caller was known is added
    to it: of a workflow's run the attempt, the commit and who had started it, of a machine the token's id.
    """
    texts = {"actor": who if isinstance(who, str) else who.name, "action": action, "subject": subject}
    cut = {name: text[: _LENGTHS[name]] for name, text in texts.items()}
    kept = {**(_proof(who) if isinstance(who, Caller) else {}), **(data or {})}
    session.add(Audit(at=now(session), stage_id=stage_id, data=kept, **cut))


def _proof(caller: Caller) -> dict[str, Any]:
    if caller.run is not None:
        run = caller.run
        return {"by": run.actor, "attempt": run.run_attempt, "ref": run.ref, "sha": run.sha}
    if caller.login is not None:
        return {"user_id": caller.login.user_id, "host": caller.login.host}
    return {"token": caller.who.id} if isinstance(caller.who, MachineToken) else {}
