"""A relay for the agent's tests: says and takes what docs/live.md has between relay and agent, and remembers it."""

import asyncio
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from stagedoor.live.bodies import Arriving, Outbox
from stagedoor.live.frames import LARGEST_FRAME, PROTOCOL, Frame, FrameType, credit_frame, decoded, session_frame


@dataclass
class Result:
    """What came back of an attempt."""

    kind: str
    headers: dict[str, str]
    body: bytes
    head: dict[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One connection of an agent."""

    def __init__(self, socket: web.WebSocketResponse, hello: dict[str, Any]) -> None:
        self.socket = socket
        self.hello = hello
        self.outbox = Outbox()
        self.streams = itertools.count(1)
        self.attempts: dict[int, str] = {}
        self.results: dict[int, tuple[dict[str, Any], Arriving]] = {}

    async def flush(self) -> None:
        while frame := self.outbox.next():
            await self.socket.send_bytes(frame.encoded())


class ScriptedRelay:
    """Serves one stage; `invoke` sends an event and waits for the result, over however many connections."""

    def __init__(self) -> None:
        self.wire: Wire | None = None
        self.connected = asyncio.Event()
        self.hellos: list[dict[str, Any]] = []
        self.tokens: list[str] = []
        self.custody: set[str] = set()
        self.refused: dict[str, str] = {}
        self.farewell: str | None = None
        self.results: dict[str, asyncio.Future[Result]] = {}
        self.refuse_token: str | None = None
        self.url = ""
        self._runner: web.AppRunner | None = None
        self._numbers = itertools.count()

    async def __aenter__(self) -> "ScriptedRelay":
        app = web.Application()
        app.router.add_get("/live/tunnel", self._tunnel)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def sandbox(
        self, function: str, environment: Mapping[str, str], credentials: Mapping[str, str] | None = None
    ) -> str:
        """Tell of a sandbox; return its id."""
        name = f"sandbox{next(self._numbers)}"
        said = {
            "sandbox": name,
            "function": function,
            "environment": dict(environment),
            "credentials": credentials or {},
        }
        await self.send(session_frame(FrameType.SANDBOX, said))
        return name

    async def send(self, frame: Frame) -> None:
        await self.connected.wait()
        assert self.wire
        self.wire.outbox.put(frame)
        await self.wire.flush()

    async def offer(
        self, function: str, event: bytes, *, attempt: str | None = None, timeout_s: float = 3, sandbox: str = "",
        headers: Mapping[str, str] | None = None, limit_s: float = 900,
    ) -> str:  # fmt: skip
        """Offer an attempt; return its id."""
        await self.connected.wait()
        assert self.wire
        attempt = attempt or f"8476a536-e9f4-11e8-9739-2dfe598c3f{next(self._numbers):02x}.00000001"
        self.results.setdefault(attempt, asyncio.get_running_loop().create_future())
        now = int(time.time() * 1000)
        head = {
            "attempt": attempt, "function": function, "request_id": attempt.partition(".")[0], "sandbox": sandbox,
            "arn": f"arn:aws:lambda:eu-central-1:123456789012:function:{function}", "received_ms": now,
            "deadline_ms": now + int(timeout_s * 1000), "limit_ms": now + int(limit_s * 1000),
            "headers": dict(headers or {}), "size": len(event),
        }  # fmt: skip
        stream = next(self.wire.streams)
        self.wire.attempts[stream] = attempt
        self.wire.outbox.send(FrameType.INVOKE, stream, head, event)
        await self.wire.flush()
        return attempt

    async def bind(self, attempt: str) -> None:
        """Bind an attempt that the agent listed to a stream of the new connection."""
        assert self.wire
        stream = next(self.wire.streams)
        self.wire.attempts[stream] = attempt
        self.wire.outbox.send(FrameType.INVOKE, stream, {"attempt": attempt, "known": True, "size": 0}, b"")
        await self.wire.flush()

    async def invoke(self, function: str, event: object, **more: Any) -> Result:
        """Send an event, as JSON unless it is bytes, and return what comes back."""
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        attempt = await self.offer(function, body, **more)
        return await asyncio.wait_for(self.results[attempt], 20)

    async def cut(self) -> None:
        """Break the connection without a word."""
        assert self.wire
        self.connected.clear()
        transport = self.wire.socket._req.transport
        if transport:
            transport.abort()

    async def _tunnel(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers["Authorization"])
        if self.refuse_token and self.refuse_token in request.headers["Authorization"]:
            return web.Response(status=401)
        socket = web.WebSocketResponse(protocols=[PROTOCOL], max_msg_size=LARGEST_FRAME, compress=False)
        await socket.prepare(request)
        hello = decoded((await socket.receive()).data).document()
        self.hellos.append(hello)
        wire = self.wire = Wire(socket, hello)
        session = hello.get("session") or "session1"
        said = {"session": session, "resume": "resume1", "grace_ms": 8000, "developer": "ada", "stage": "dev-ada"}
        said |= {"others": [], "now_ms": int(time.time() * 1000)}
        wire.outbox.put(session_frame(FrameType.WELCOME, said))
        await wire.flush()
        self.connected.set()
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                self._frame(wire, decoded(message.data))
                await wire.flush()
        return socket

    def _frame(self, wire: Wire, frame: Frame) -> None:
        if frame.type is FrameType.FAREWELL:
            self.farewell = frame.document()["reason"]
            return
        if frame.type is FrameType.CREDIT:
            wire.outbox.grant(frame.stream, frame.credit())
            return
        attempt = wire.attempts[frame.stream]
        if frame.type is FrameType.CUSTODY:
            self.custody.add(attempt)
        elif frame.type is FrameType.REFUSE:
            self.refused[attempt] = frame.document()["reason"]
        elif frame.type is FrameType.RESULT:
            head, first = frame.head()
            wire.results[frame.stream] = (head, Arriving(head["size"]))
            self._data(wire, frame.stream, first)
        elif frame.type is FrameType.DATA:
            self._data(wire, frame.stream, frame.payload)

    def _data(self, wire: Wire, stream: int, piece: bytes) -> None:
        head, body = wire.results[stream]
        if granted := body.add(piece):
            wire.outbox.put(credit_frame(stream, granted))
        if body.whole:
            wire.outbox.put(Frame(FrameType.RECEIVED, stream))
            result = self.results.get(head["attempt"])
            if result and not result.done():
                result.set_result(Result(head["kind"], head["headers"], bytes(body.received), head))
