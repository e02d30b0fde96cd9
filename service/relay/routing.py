"""Who gets an invocation, when several developers are on one stage (docs/live.md, "Who gets it"). Pure."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from service.relay.attempts import Attempt
from service.relay.sessions import GRACE_SECONDS, Session

HEADER = "x-stagedoor-developer"
CUSTOM_KEY = "stagedoor-developer"
_SPELLINGS = (b"x-stagedoor-developer", b"X-Stagedoor-Developer", b"X-STAGEDOOR-DEVELOPER")


def chosen(sessions: Iterable[Session], function: str, developer: str = "") -> Session | None:
    """Return the session that gets this function's invocation; None: the deployed code answers.

    `sessions` are all of the stage; one that is cut counts until it is dead, as it may be back in a moment.
    """
    able = [session for session in sessions if session.serves(function)]
    if developer:
        return _best(session for session in able if session.is_of(developer))
    claims = [session for session in able if session.functions is not None]
    if claims:
        return _best(_all_of(claims, max(claims, key=_came)))
    if any(session.personal for session in able):
        return _best(session for session in able if session.owner and session.is_of(session.owner))
    return _best(_all_of(able, min(able, key=_came))) if able else None


class Outlook(Enum):
    """What an attempt may hope for that nobody gets now."""

    WAITS = "waits"  # for somebody to come back
    LOST = "lost"  # who may have it did not come back


def heir(attempt: Attempt, sessions: Mapping[str, Session], now: float) -> Session | Outlook | None:
    """Return who gets an attempt that is nobody's; None: the deployed code answers.

    One that was asked for before this process was here belongs to its session, or, when its bridge knows of none, to
    nobody before all are back who could have it. One that is new while this process is, waits for who was there before.
    """
    ask = attempt.ask
    alone = Outlook.WAITS if now < attempt.received + GRACE_SECONDS else Outlook.LOST
    if ask.again and ask.session:
        if (own := sessions.get(ask.session)) is None:
            return alone
        return own if own.cut_at is None else Outlook.WAITS
    if ask.again and not all(one in sessions and sessions[one].cut_at is None for one in ask.open_sessions):
        return alone
    able = [
        session
        for session in sessions.values()
        if session.stage_id == ask.stage_id
        and session.id not in attempt.refused
        and (not ask.only or session.id == ask.only)
    ]
    session = chosen(able, ask.function, ask.developer)
    if session is None and not ask.open_sessions <= set(sessions) and alone is Outlook.WAITS:
        return Outlook.WAITS
    return Outlook.WAITS if session is not None and session.cut_at is not None else session


def _came(session: Session) -> tuple[float, str]:
    return session.opened_at, session.id


def _all_of(sessions: list[Session], session: Session) -> list[Session]:
    return [other for other in sessions if other.developer == session.developer]


def _best(sessions: Iterable[Session]) -> Session | None:
    """Return, of one developer's sessions, one that is connected, and the newest: the others are being left."""
    return max(sessions, key=lambda session: (session.cut_at is None, _came(session)), default=None)


def named_developer(headers: Mapping[str, str], event: bytes) -> str:
    """Return the developer whom an invocation names: in an HTTP event's header, or in the client context; else ""."""
    if context := headers.get("Lambda-Runtime-Client-Context"):
        custom = _document(_decoded(context)).get("custom")
        if isinstance(custom, dict) and isinstance(name := custom.get(CUSTOM_KEY), str):
            return name
    # Six megabytes are searched in a millisecond, and read as JSON in fifty.
    if not any(spelling in event for spelling in _SPELLINGS):
        return ""
    sent = _document(event).get("headers")
    if not isinstance(sent, dict):
        return ""
    values = [value for name, value in sent.items() if name.lower() == HEADER and isinstance(value, str)]
    return values[0].strip() if values else ""


def _decoded(context: str) -> bytes:
    """Return the client context, which Lambda hands over as JSON and callers send as base64."""
    if context.lstrip().startswith("{"):
        return context.encode()
    try:
        return base64.b64decode(context, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _document(data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
