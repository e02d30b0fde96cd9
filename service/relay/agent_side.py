"""The relay's end of a tunnel: one WebSocket of one agent, many invocations interleaved."""

import asyncio
from contextlib import suppress
from typing import Any

import structlog
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.access.tokens import STAGE_SECONDS, ResumeToken, StageToken, TokenInvalid
from service.relay.attempts import Attempt, Key, Result
from service.relay.relay import Relay
from service.relay.sessions import GRACE_SECONDS, Session, others
from stagedoor.live.bodies import Outbox
from stagedoor.live.frames import (
    LARGEST_BODY,
    LARGEST_HELLO,
    PROTOCOL,
    WINDOW,
    Frame,
    FrameInvalid,
    FrameType,
    credit_frame,
    decoded,
    session_frame,
)

log = structlog.get_logger(__name__)
HELLO_SECONDS = 5.0
RENEW_BEFORE_SECONDS = 300.0
_RESULT_HEADERS = (
    "Content-Type",
    "Lambda-Runtime-Function-Error-Type",
    "Lambda-Runtime-Function-XRay-Error-Cause",
)


class _Incoming:
    """A result on its way: its head, and what is here of its body."""

    __slots__ = ("granted", "head", "key", "parts", "received", "size")

    def __init__(self, key: Key, head: dict[str, Any], size: int) -> None:
        self.key = key
        self.head = head
        self.size = size
        self.parts: list[bytes] = []
        self.received = 0
        self.granted = False


class Tunnel:
    """One connection of one session. Frames are put without waiting; one task sends them."""

    def __init__(self, relay: Relay, session: Session) -> None:
        self.session = session
        self._relay = relay
        self._outbox = Outbox()
        self._wake = asyncio.Event()
        self._next_stream = 1
        self._streams: dict[int, Key] = {}
        self._numbers: dict[Key, int] = {}
        self._incoming: dict[int, _Incoming] = {}
        self._sandboxes: set[tuple[str, str]] = set()
        self._closing = False

    # What the relay has it say

    def offer(self, attempt: Attempt, known: bool) -> None:
        """Send an attempt; `known`: ask for the outcome of one that the agent has."""
        ask, stream = attempt.ask, self._next_stream
        self._next_stream += 1
        self._streams[stream] = ask.key
        self._numbers[ask.key] = stream
        if known:
            self._outbox.send(FrameType.INVOKE, stream, {"attempt": ask.attempt, "known": True, "size": 0}, b"")
        else:
            self._introduce_sandbox(attempt)
            head = {
                "attempt": ask.attempt,
                "function": ask.function,
                "request_id": ask.request_id,
                "arn": ask.arn,
                "deadline_ms": round(ask.deadline * 1000),
                "limit_ms": round(ask.limit * 1000),
                "received_ms": round(attempt.received * 1000),
                "sandbox": ask.sandbox,
                "headers": ask.headers,
                "size": ask.size,
            }
            self._outbox.send(FrameType.INVOKE, stream, head, attempt.event or b"")
        self._wake.set()

    def cancel(self, key: Key, reason: str) -> None:
        """Say that nobody waits for an attempt any more."""
        if (stream := self._numbers.get(key)) is None:
            return
        self._forget(stream)
        self._outbox.drop(stream)
        self.put(Frame(FrameType.CANCEL, stream, session_frame(FrameType.CANCEL, {"reason": reason}).payload))

    def put(self, frame: Frame) -> None:
        """Have a frame sent."""
        self._outbox.put(frame)
        self._wake.set()

    def farewell(self, reason: str, error: str = "") -> None:
        """Say why the session ends, and close."""
        self.put(session_frame(FrameType.FAREWELL, {"reason": reason, "error": error}))
        self.close()

    def close(self) -> None:
        """Close once all that was put is sent; the session goes on."""
        self._closing = True
        self._wake.set()

    def catch_up(self) -> None:
        """Send what was in no hurry, and let results come in that there was no room for."""
        self._wake.set()
        for stream, incoming in self._incoming.items():
            if not incoming.granted and not self._grant(stream, incoming):
                return

    # What the agent says

    def take(self, message: bytes) -> None:
        """Act on a message. Raises `FrameInvalid` when the connection is not to be trusted any more."""
        frame = decoded(message)
        key = self._streams.get(frame.stream)
        match frame.type:
            case FrameType.RESULT if key is not None:
                self._begin_result(frame, key)
            case FrameType.DATA:
                self._go_on(frame)
            case FrameType.CUSTODY if key is not None:
                self._relay.perform(self._relay.switchboard.custody(self.session, key, self._relay.now()))
            case FrameType.CREDIT:
                self._outbox.grant(frame.stream, frame.credit())
                self._wake.set()
            case FrameType.REFUSE if key is not None:
                reason = str(frame.document().get("reason", ""))
                self._outbox.drop(frame.stream)
                self._forget(frame.stream)
                self._relay.perform(self._relay.switchboard.refuse(self.session, key, reason, self._relay.now()))
            case FrameType.CUSTODY | FrameType.RESULT | FrameType.REFUSE:
                pass  # it was cancelled while this was under way
            case _:
                raise FrameInvalid(f"{frame.type.name} from an agent")

    def _begin_result(self, frame: Frame, key: Key) -> None:
        head, first = frame.head()
        size = head.get("size")
        if not isinstance(size, int) or not 0 <= size <= LARGEST_BODY or len(first) > size:
            raise FrameInvalid("a RESULT of an impossible size")
        self._outbox.drop(frame.stream)
        incoming = _Incoming(key, head, size)
        if len(first) == size:
            self._finish(frame.stream, incoming, first)
            return
        self._incoming[frame.stream] = incoming
        self._grant(frame.stream, incoming)
        self._go_on(Frame(FrameType.DATA, frame.stream, first))

    def _grant(self, stream: int, incoming: _Incoming) -> bool:
        incoming.granted = self._relay.switchboard.reserve(incoming.size)
        if incoming.granted and incoming.size > WINDOW:
            self.put(credit_frame(stream, incoming.size - WINDOW))
        return incoming.granted

    def _go_on(self, frame: Frame) -> None:
        incoming = self._incoming.get(frame.stream)
        if incoming is None:
            return  # it was cancelled
        incoming.parts.append(frame.payload)
        incoming.received += len(frame.payload)
        if incoming.received > incoming.size or (not incoming.granted and incoming.received > WINDOW):
            raise FrameInvalid("more DATA than was granted")
        if incoming.received == incoming.size:
            del self._incoming[frame.stream]
            if incoming.granted:
                self._relay.switchboard.unreserve(incoming.size)
            self._finish(frame.stream, incoming, b"".join(incoming.parts))

    def _finish(self, stream: int, incoming: _Incoming, body: bytes) -> None:
        head = incoming.head
        sent = head.get("headers")
        headers = {name: str(sent[name]) for name in _RESULT_HEADERS if name in sent} if isinstance(sent, dict) else {}
        times = [value if isinstance(value := head.get(name), int) else 0 for name in ("started_ms", "ended_ms")]
        result = Result("error" if head.get("kind") == "error" else "response", headers, body, *times)
        self._forget(stream)
        self._relay.perform(self._relay.switchboard.result(self.session, incoming.key, result, self._relay.now()))
        self._outbox.put(Frame(FrameType.RECEIVED, stream))  # leaves with what comes next: it is in no hurry

    def _forget(self, stream: int) -> None:
        key = self._streams.pop(stream, None)
        if key is not None and self._numbers.get(key) == stream:
            del self._numbers[key]
        incoming = self._incoming.pop(stream, None)
        if incoming is not None and incoming.granted:
            self._relay.switchboard.unreserve(incoming.size)

    def _introduce_sandbox(self, attempt: Attempt) -> None:
        ask = attempt.ask
        name = (ask.function, ask.sandbox)
        if not ask.sandbox or name in self._sandboxes:
            return
        document = self._relay.sandboxes.get(ask.stage_id, ask.function, ask.sandbox)
        if document is not None:
            self._sandboxes.add(name)
            self._outbox.put(
                session_frame(FrameType.SANDBOX, {**document, "sandbox": ask.sandbox, "function": ask.function})
            )

    # The connection

    async def send_all(self, websocket: WebSocket) -> None:
        """Send what is put, until the farewell has been sent or the connection breaks."""
        while True:
            while (frame := self._outbox.next()) is not None:
                await websocket.send_bytes(frame.encoded())
            if self._closing:
                return
            self._wake.clear()
            await self._wake.wait()

    def end(self) -> None:
        """Let go of what was under way on this connection."""
        for stream in list(self._incoming):
            self._forget(stream)


async def tunnel(relay: Relay, websocket: WebSocket) -> None:
    """Answer `GET /live/tunnel`: a session, for as long as this connection of it lasts."""
    scheme, _, token = websocket.headers.get("authorization", "").partition(" ")
    try:
        claims, expires = relay.tokens.verified(token if scheme.lower() == "bearer" else "", StageToken)
    except TokenInvalid:
        await websocket.send_denial_response(PlainTextResponse("the stage token is no good", 401))
        return
    if relay.draining:
        await websocket.send_denial_response(PlainTextResponse("draining", 503, {"Retry-After": "0"}))
        return
    if PROTOCOL not in websocket.scope["subprotocols"]:
        await websocket.send_denial_response(PlainTextResponse(f"this relay speaks {PROTOCOL}", 426))
        return
    await websocket.accept(subprotocol=PROTOCOL)
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            hello = decoded(await websocket.receive_bytes(), LARGEST_HELLO)
        if hello.type is not FrameType.HELLO:
            raise FrameInvalid(f"{hello.type.name} before HELLO")
        await _serve(relay, websocket, claims, expires, hello.document())
    except (FrameInvalid, TimeoutError, KeyError) as error:
        log.warning("a tunnel is closed", developer=claims.developer, stage_id=claims.stage_id, error=str(error))
        with suppress(RuntimeError, WebSocketDisconnect):
            await websocket.close(1002, str(error)[:100])
    except WebSocketDisconnect:
        pass


async def _serve(relay: Relay, websocket: WebSocket, claims: StageToken, expires: float, hello: dict[str, Any]) -> None:
    session = await relay.session_of(claims, hello)
    if session is None:
        await websocket.close(1008, "there is no such stage")
        return
    await relay.look_elsewhere(session.stage_id)
    line = Tunnel(relay, session)
    line.put(session_frame(FrameType.WELCOME, _welcome(relay, session)))
    known = hello.get("known")
    relay.connected(line, known if isinstance(known, dict) else {})
    await relay.directory.say([session])
    tasks = [
        asyncio.create_task(line.send_all(websocket)),
        asyncio.create_task(_renew(relay, line, claims, expires)),
    ]
    reader = asyncio.create_task(_read(relay, line, websocket))
    try:
        await asyncio.wait([reader, tasks[0]], return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            with suppress(RuntimeError, WebSocketDisconnect):
                await websocket.close(1000)
        else:
            await reader
    finally:
        for task in (*tasks, reader):
            task.cancel()
        await asyncio.gather(*tasks, reader, return_exceptions=True)
        line.end()
        relay.disconnected(line)


async def _read(relay: Relay, line: Tunnel, websocket: WebSocket) -> None:
    while True:
        message = await websocket.receive_bytes()
        if message[:1] == bytes((FrameType.FAREWELL,)):
            reason = str(decoded(message).document().get("reason", ""))
            relay.left(line, reason or "The agent stopped.")
            return
        if relay.is_current(line):
            line.take(message)


async def _renew(relay: Relay, line: Tunnel, claims: StageToken, expires: float) -> None:
    """Give the agent a new token in time, as long as the developer still may."""
    while True:
        await asyncio.sleep(max(1.0, expires - RENEW_BEFORE_SECONDS - relay.now()))
        if not await relay.may(claims):
            relay.left(line, "The developer may not use this stage any more.")
            line.farewell("You may not use this stage any more.", "not-permitted")
            return
        expires = relay.now() + STAGE_SECONDS
        token = relay.tokens.mint(claims)
        line.put(session_frame(FrameType.TOKEN, {"token": token, "expires_in": STAGE_SECONDS}))


def _welcome(relay: Relay, session: Session) -> dict[str, Any]:
    resume = ResumeToken(session.id, session.stage_id, session.developer)
    return {
        "session": session.id,
        "resume": relay.tokens.mint(resume),
        "grace_ms": round(GRACE_SECONDS * 1000),
        "developer": session.developer,
        "stage": relay.stage_name(session.stage_id),
        "others": others(relay.on_stage(session.stage_id), session),
        "now_ms": round(relay.now() * 1000),
    }
