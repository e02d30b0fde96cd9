"""What bridges ask of the relay: plain ASGI, since each invocation comes this way."""

import asyncio
import json
import time
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from service.access.tokens import FunctionToken, TokenInvalid
from service.relay import rows
from service.relay.attempts import (
    BEAT_SECONDS,
    Ask,
    Attempt,
    BridgeFrame,
    Phase,
    Told,
    bridge_frame,
    data_frames,
    due,
    json_frame,
)
from service.relay.directory import Elsewhere
from service.relay.effects import Refused, Wanted
from service.relay.forward import HEADER, holder, without_asked
from service.relay.records import PAYLOAD_BYTES
from service.relay.relay import Relay
from service.relay.routing import chosen, named_developer
from service.relay.sandboxes import MOST_BYTES
from service.relay.sessions import GRACE_SECONDS
from service.relay.turns import Turns
from stagedoor.live.frames import CHUNK, LARGEST_BODY

ATTEMPTS = "/live/attempts/"
BODY_SECONDS = 30.0
_LONGEST_ATTEMPT_ID = 128
FORWARDED = HEADER.lower().encode()
_START: dict[str, Any] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/octet-stream"), (b"cache-control", b"no-store")],
}
_BEAT = bridge_frame(BridgeFrame.BEAT)
_NAMES: dict[bytes, str] = {}


class _Unacceptable(Exception):
    """A call that is answered with a status alone."""

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after

    def response(self) -> Response:
        """Return the answer."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return PlainTextResponse(str(self), self.status, headers)


class Attempts:
    """`POST /live/attempts/{attempt}`: carries an invocation, or goes on carrying it after a break."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with frames until the outcome is told, or with a status."""
        relay = self._relay
        await self._turns.take()
        try:
            ask, event = await self._read(scope, receive)
        except _Unacceptable as error:
            await error.response()(scope, receive, send)
            return
        if not relay.directory.alone:
            elsewhere = await self._elsewhere(ask, scope)
            if isinstance(elsewhere, Elsewhere):
                await self._forward(elsewhere, ask, event, scope, receive, send)
                return
            ask = elsewhere
        has_sandbox = relay.sandboxes.get(ask.stage_id, ask.function, ask.sandbox) is not None
        answer, effects = relay.switchboard.ask(ask, event, has_sandbox, relay.now())
        relay.perform(effects)
        match answer:
            case Refused(status, reason, retry_after):
                await _Unacceptable(status, reason, retry_after).response()(scope, receive, send)
            case Wanted():
                await _want(answer, send)
            case Attempt():
                if event is not None and len(event) <= PAYLOAD_BYTES and relay.keeps_payloads(ask.stage_id):
                    answer.kept_event = event
                await self._follow(answer, receive, send)

    async def _elsewhere(self, ask: Ask, scope: Scope) -> Elsewhere | Ask:
        """Return whose session elsewhere gets the attempt; else how it is to be asked for here."""
        relay = self._relay
        known = relay.switchboard.attempts.get(ask.key)
        if known is not None and known.phase is not Phase.ASKED:
            return ask
        headers = dict(scope["headers"])
        passed_on = relay.forwarder.claims(ask, headers.get(FORWARDED, b"").decode("latin-1"))
        if passed_on is not None:
            return replace(ask, only=passed_on.session)
        there = await relay.directory.elsewhere(ask.stage_id)
        if not ask.again:
            ask = without_asked(ask, there)
        if there and ask.again and not ask.session:
            authorization = {"Authorization": headers[b"authorization"].decode("latin-1")}
            for url in {one.url for one in there}:
                knows = await relay.forwarder.knows(url, ask.attempt, authorization)
                if knows:
                    return next(one for one in there if one.url == url)
                if knows is False:
                    ask = without_asked(ask, [one for one in there if one.url == url])
            if ask.open_sessions:
                return ask
        return holder(ask, relay.switchboard.of_stage(ask.stage_id), there) or ask

    async def _forward(
        self, to: Elsewhere, ask: Ask, event: bytes | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        relay = self._relay
        if ask.sandbox:
            document = relay.sandboxes.get(ask.stage_id, ask.function, ask.sandbox)
            if document is None:
                await _want(Wanted(event is None, True), send)
                return
            authorization = dict(scope["headers"])[b"authorization"].decode("latin-1")
            await relay.forwarder.introduce(to.url, ask.function, ask.sandbox, document, authorization)
        await relay.forwarder.carry(to, ask, event, scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive) -> tuple[Ask, bytes | None]:
        relay = self._relay
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        lambda_headers = {_NAMES.get(name) or _canonical(name): headers[name] for name in headers if _is_lambdas(name)}
        claims = function_claims(relay, headers.get(b"authorization", ""))
        attempt = scope["path_params"]["attempt"]
        size, length = _number(headers, b"stagedoor-size"), _number(headers, b"content-length")
        if size > LARGEST_BODY or length > LARGEST_BODY:
            raise _Unacceptable(413, "the event is too large")
        if len(attempt) > _LONGEST_ATTEMPT_ID or length not in {0, size}:
            raise _Unacceptable(400, "no such attempt, or not all of its event")
        known = relay.switchboard.attempts.get((claims.stage_id, attempt))
        if relay.draining and known is None:
            raise _Unacceptable(503, "draining", 0)
        event = await self._body(length, receive) if length or not size else None
        again, session = _number(headers, b"stagedoor-again"), headers.get(b"stagedoor-session", "")
        developer = named_developer(lambda_headers, event or b"")
        unknown = known is None and not session
        ask = Ask(
            stage_id=claims.stage_id,
            function=claims.function,
            attempt=attempt,
            headers=lambda_headers,
            size=size,
            deadline=_number(headers, b"stagedoor-deadline-ms") / 1000,
            limit=_number(headers, b"lambda-runtime-deadline-ms") / 1000,
            sandbox=headers.get(b"stagedoor-sandbox", ""),
            again=again,
            session=session,
            developer=developer,
            open_sessions=await self._who_may_be_back(claims, again, developer) if unknown else frozenset(),
        )
        return ask, event

    async def _who_may_be_back(self, claims: FunctionToken, again: int, developer: str) -> frozenset[str]:
        """Return the sessions that an attempt waits for: one that is asked for again, or that this process, which is
        new, has nobody for.
        """
        relay = self._relay
        if not again and (
            time.monotonic() > relay.began + GRACE_SECONDS
            or chosen(relay.switchboard.of_stage(claims.stage_id), claims.function, developer)
        ):
            return frozenset()
        return await asyncio.to_thread(rows.open_sessions, self._relay.parts.sessions, claims.stage_id)

    async def _body(self, length: int, receive: Receive) -> bytes:
        """Read the body, once there is room for it. Raises `_Unacceptable`."""
        room = length > CHUNK
        if room and not self._relay.switchboard.reserve(length):
            raise _Unacceptable(429, "too much is under way", 1)
        parts: list[bytes] = []
        received = 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Unacceptable(400, "the bridge hung up")
                    part = message.get("body", b"")
                    parts.append(part)
                    received += len(part)
                    if received > length:
                        raise _Unacceptable(400, "more than was announced")
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise _Unacceptable(408, "the event took too long") from None
        finally:
            if room:
                self._relay.switchboard.unreserve(length)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _follow(self, attempt: Attempt, receive: Receive, send: Send) -> None:
        """Say what becomes of an attempt, until its outcome is told or the bridge is gone."""
        relay, told = self._relay, Told()
        changed = relay.called(attempt)
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] | None = None
        try:
            await send(_START)
            while gone is None or not gone.done():
                changed.clear()
                frames, over = due(attempt, told)
                if over:
                    await _send_last(attempt, frames, send)
                    return
                if frames:
                    await send({"type": "http.response.body", "body": b"".join(frames), "more_body": True})
                if attempt.phase is Phase.ROUTED and told.session == attempt.session:
                    relay.perform(relay.switchboard.told(attempt, relay.now()))
                beat = loop.call_later(BEAT_SECONDS, changed.set)
                await changed.wait()
                beat.cancel()
                if loop.time() >= beat.when():
                    await send({"type": "http.response.body", "body": _BEAT, "more_body": True})
                    # Most are over by now: only the others are worth a task that sees the bridge go.
                    gone = gone or asyncio.ensure_future(_until_gone(receive, changed))
        finally:
            if gone is not None:
                gone.cancel()
            relay.hung_up(attempt, changed)


async def _want(wanted: Wanted, send: Send) -> None:
    frame = json_frame(BridgeFrame.WANTED, {"event": wanted.event, "sandbox": wanted.sandbox})
    await send(_START)
    await send({"type": "http.response.body", "body": frame})


async def _send_last(attempt: Attempt, frames: list[bytes], send: Send) -> None:
    body = attempt.result.body if attempt.result is not None else b""
    pieces = iter(data_frames(body))
    first = next(pieces, b"")
    last = b"".join(frames) + first
    for piece in pieces:
        await send({"type": "http.response.body", "body": last, "more_body": True})
        last = piece
    await send({"type": "http.response.body", "body": last})


async def _until_gone(receive: Receive, changed: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    changed.set()


def known(relay: Relay) -> Any:
    """Return the endpoint of `GET /live/attempts/{attempt}`, by which other web processes ask: 204 or 404."""

    async def answer(request: Request) -> Response:
        try:
            claims = function_claims(relay, request.headers.get("authorization", ""))
        except _Unacceptable as error:
            return error.response()
        key = (claims.stage_id, request.path_params["attempt"])
        listed = any(key[1] in session.known for session in relay.switchboard.of_stage(key[0]))
        return Response(status_code=204 if listed or key in relay.switchboard.attempts else 404)

    return answer


def presence(relay: Relay) -> Any:
    """Return the endpoint of `GET /live/presence`."""

    async def answer(request: Request) -> Response:
        try:
            claims = function_claims(relay, request.headers.get("authorization", ""))
        except _Unacceptable as error:
            return error.response()
        return JSONResponse({"live": await somebody_takes(relay, claims)})

    return answer


async def somebody_takes(relay: Relay, function: FunctionToken) -> bool:
    """Tell whether the function's next invocation would go to a session."""
    there = [one.session for one in await relay.directory.elsewhere(function.stage_id)]
    sessions = [*relay.switchboard.of_stage(function.stage_id), *there]
    return chosen(sessions, function.function) is not None and not relay.draining


def sandbox(relay: Relay) -> Any:
    """Return the endpoint of `PUT /live/sandboxes/{sandbox}`."""

    async def answer(request: Request) -> Response:
        try:
            claims = function_claims(relay, request.headers.get("authorization", ""))
            document = await _document(request)
        except _Unacceptable as error:
            return error.response()
        relay.sandboxes.put(claims.stage_id, claims.function, request.path_params["sandbox"], document)
        relay.forwarder.changed(claims.function, request.path_params["sandbox"])
        return Response(status_code=204)

    return answer


async def _document(request: Request) -> dict[str, Any]:
    """Return the JSON object that was sent. Raises `_Unacceptable`."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise _Unacceptable(413, "too large")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _Unacceptable(400, "not JSON") from None
    if not isinstance(document, dict):
        raise _Unacceptable(400, "not an object")
    return document


def function_claims(relay: Relay, authorization: str) -> FunctionToken:
    """Return which function's bridge this is. Raises `_Unacceptable` with 401."""
    scheme, _, token = authorization.partition(" ")
    try:
        return relay.tokens.verify(token if scheme.lower() == "bearer" else "", FunctionToken)
    except TokenInvalid:
        raise _Unacceptable(401, "the function token is no good") from None


def _is_lambdas(name: bytes) -> bool:
    """Tell whether a header came with the event."""
    return name in _NAMES or name == b"content-type" or name.startswith(b"lambda-runtime-")


def _number(headers: dict[bytes, str], name: bytes) -> int:
    text = headers.get(name)
    if text is None:
        return 0
    if not text.isdecimal() or len(text) > 16:
        raise _Unacceptable(400, f"{name.decode()} is not a number")
    return int(text)


def _canonical(name: bytes) -> str:
    """Return a header's name as Lambda writes it, which HTTP servers give in lower case."""
    known = name.decode("latin-1").title()
    if len(_NAMES) < 100:
        _NAMES[name] = known
    return known
