"""What a run or a plan failed of: whose doing it was, and the words that everybody is told it in."""

import traceback
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import structlog

from service.github.escape import redact
from service.models import Outcome
from stagedoor.deploy.access import as_user_error
from stagedoor.errors import TargetUnusable, UserError

log = structlog.get_logger(__name__)


def failure_of(error: Exception) -> tuple[Outcome, dict[str, Any]]:
    """Return whose the failure is, and the error as it is kept. `FAILED` is the app's; `ERRORED` is the target's or our
    own, which is tried again by itself.
    """
    told = error if isinstance(error, UserError) else as_user_error(error)
    if told is None:
        return Outcome.ERRORED, _our_own_error()
    if isinstance(told, TargetUnusable):
        return Outcome.ERRORED, _of_the_target(told)
    return Outcome.FAILED, _as_json(told)


def _as_json(error: UserError) -> dict[str, Any]:
    return {
        "id": error.id,
        "what": redact(error.what),
        "remedy": redact(error.remedy),
        "detail": redact(error.detail),
        "location": asdict(error.location) if error.location else None,
    }


def _of_the_target(error: UserError) -> dict[str, Any]:
    """Name what keeps us out of the target's account. The details (roles, accounts) are for its operator alone."""
    log.error("the target cannot be used", error=error.id, what=error.what, detail=error.detail)
    return {
        **_as_json(error),
        "remedy": "It will be tried again by itself. If it stays, whoever operates Stagedoor has to look at the "
        "target's credentials, its roles and the way to AWS.",
        "detail": "",
    }


def _our_own_error() -> dict[str, Any]:
    """Keep the traceback for us; give the user an id to name."""
    number = uuid4().hex[:8]
    log.error("a run ended with an error of ours", error_number=number, traceback=traceback.format_exc())
    return {
        "id": "internal-error",
        "what": f"Something went wrong on our side (error {number}).",
        "remedy": "It will be tried again by itself; whoever operates Stagedoor finds the error's number in the log.",
        "detail": "",
        "location": None,
    }
