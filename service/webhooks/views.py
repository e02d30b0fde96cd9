"""`POST /webhooks/github`: the only door that GitHub knocks at.

GitHub waits ten seconds for an answer and does not try again by itself
(https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks), so a delivery is committed
before it is answered and nothing else is waited for.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import structlog
from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from service.metrics import DELIVERIES, WEBHOOK_SECONDS
from service.parts import current_parts
from service.settings import Settings
from service.webhooks.hints import hint_of
from service.webhooks.record import Received, record
from service.webhooks.seen import HostAddress
from service.webhooks.signature import HEADER, is_signed, is_well_formed

blueprint = Blueprint("webhooks", __name__)

_log = structlog.get_logger(__name__)
_GUID = re.compile(r"[A-Za-z0-9-]{1,64}\Z")
_EVENT = re.compile(r"[a-z0-9_]{1,64}\Z")
_ACTION_LIMIT = 64


class _Refused(Exception):
    """The request is not a delivery that can be recorded; nothing is stored of it."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


@blueprint.post("/webhooks/github")
def github() -> ResponseReturnValue:
    """Answer 202 with what was understood, once it is committed.

    401 for a signature that is missing, truncated or wrong; 413 above GitHub's own cap; 411 without a length; 400 or
    415 for what is signed and still no webhook.
    """
    with WEBHOOK_SECONDS.time():
        try:
            return _recorded(), 202
        except _Refused as refused:
            _log.warning("webhook refused", status=refused.status, reason=str(refused))
            return {"error": str(refused)}, refused.status


def _recorded() -> dict[str, str]:
    parts = current_parts()
    body = _signed_body(parts.settings.webhook_secrets)
    address = _address(parts.settings)
    guid = _header("X-GitHub-Delivery", _GUID)
    event = _header("X-GitHub-Event", _EVENT)
    payload = _payload(body)
    hint = hint_of(event, payload)
    action = payload.get("action")
    named = action if isinstance(action, str) and action.isidentifier() else ""
    received = Received(guid, event, named[:_ACTION_LIMIT], body, datetime.now(UTC))
    is_new = record(parts.engine, address, received, hint)
    if is_new:
        DELIVERIES.labels(event).inc()
    status = "recorded" if is_new else "known"
    _log.info("webhook", delivery=guid, webhook=event, status=status, understood=str(hint))
    return {"delivery": guid, "status": status, "understood": str(hint)}


def _signed_body(secrets: tuple[str, ...]) -> bytes:
    """Return the raw body of a request that GitHub signed."""
    signature = request.headers.get(HEADER)
    if not is_well_formed(signature):
        raise _Refused(401, f"{HEADER} is missing or not a SHA-256 signature.")
    if request.content_length is None and not request.environ.get("wsgi.input_terminated"):
        # Not every WSGI server says where a chunked body ends. GitHub always sends the length.
        raise _Refused(411, "Content-Length is missing.")
    try:
        body = request.get_data(cache=False)
        if request.content_length is None and len(body) == request.max_content_length:
            raise RequestEntityTooLarge  # Werkzeug stops reading there, without a word
    except RequestEntityTooLarge:
        raise _Refused(413, "The body is larger than GitHub's payloads ever are.") from None
    if not is_signed(body, signature, secrets):
        raise _Refused(401, f"{HEADER} does not fit the body and the secret.")
    return body


def _address(settings: Settings) -> HostAddress:
    """Return the GitHub that the service belongs to; an Enterprise server says in a header which one it is."""
    name = urlsplit(settings.github_web_url).netloc.lower()
    speaker = request.headers.get("X-GitHub-Enterprise-Host", name)
    if speaker.lower() != name:
        raise _Refused(400, "This service belongs to another GitHub host.")
    return HostAddress(name, settings.github_api_url.rstrip("/"), settings.github_web_url.rstrip("/"))


def _header(name: str, form: re.Pattern[str]) -> str:
    value = request.headers.get(name, "")
    if not form.match(value):
        raise _Refused(400, f"{name} is missing or not as GitHub writes it.")
    return value


def _payload(body: bytes) -> Mapping[str, Any]:
    """Return the payload of either content type that a webhook can be set to
    (https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks).
    """
    try:
        match request.mimetype:
            case "application/json":
                payload = _document(body)
            case "application/x-www-form-urlencoded":
                payload = _document(dict(parse_qsl(body.decode(), max_num_fields=1))["payload"])
            case _:
                raise _Refused(415, "The content type is neither JSON nor a form.")
    except (ValueError, KeyError, RecursionError):
        raise _Refused(400, "The body is not what its content type says.") from None
    if not isinstance(payload, dict):
        raise _Refused(400, "The payload is not a JSON object.")
    return payload


def _document(text: bytes | str) -> Any:
    """Return what JSON says. The fast reader is stricter than GitHub need be (half of a surrogate pair, say)."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
