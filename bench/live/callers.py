"""Many bridges in one process: each call says to the relay what a bridge says (docs/live.md), and decides as it does.

What follows from a broken connection is decided by the bridge's own code (`stagedoor/live/bridge/attempts.py`); only
the sending is written anew, for asyncio, so that a thousand of them cost little.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from stagedoor.live.bridge.attempts import SILENCE_S, Ask, Attempt, Deployed, Failure
from stagedoor.live.bridge.relay import CUSTODY, DATA, DEPLOYED, FAILED, RESULT, ROUTED, WANTED

RAISED_S = 900.0
"""The raised timeout of a live function, which ends its sandbox."""

_BUFFER = 1024 * 1024
_CONNECT_S = 5.0
"""A bridge waits 1 s; but here a thousand of them begin in one process, whose own loop is late then."""


class _Broken(Exception):
    """The connection broke after the request had gone out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a caller of Lambda would get. `kind` is "response", "error" or "deployed"; `asked` counts the requests."""

    request_id: str
    kind: str
    body: bytes
    asked: int = 1

    @property
    def document(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class _Line:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Callers:
    """Bridges of one relay, or of a proxy before it, at a port of this machine; `tokens` are by function."""

    def __init__(self, port: int, tokens: Mapping[str, str]) -> None:
        self.port = port
        self._tokens = tokens
        self._idle: list[_Line] = []

    async def call(
        self,
        function: str,
        event: bytes,
        *,
        request_id: str = "",
        timeout_s: float = 60.0,
        headers: Mapping[str, str] | None = None,
        in_custody: asyncio.Event | None = None,
    ) -> Answer:
        """Have an event answered. `in_custody` is set when the relay says that an agent has it."""
        request_id = request_id or str(uuid4())
        now = time.monotonic()
        attempt = Attempt(f"{request_id}.{os.urandom(4).hex()}", len(event), now, now + RAISED_S)
        call = _Call(self, attempt, self._head(function, request_id, len(event), timeout_s, headers or {}), event)
        call.in_custody = in_custody
        while True:
            outcome = await call.tried()
            if isinstance(outcome, Answer):
                return Answer(request_id, outcome.kind, outcome.body, call.asked)
            if isinstance(outcome, Failure):
                body = {"errorType": outcome.kind, "errorMessage": outcome.message}
                return Answer(request_id, "error", json.dumps(body).encode(), call.asked)
            if isinstance(outcome, Deployed):
                return Answer(request_id, "deployed", outcome.reason.encode(), call.asked)
            await asyncio.sleep(outcome.pause_s)

    def _head(self, function: str, request_id: str, size: int, timeout_s: float, more: Mapping[str, str]) -> str:
        now = time.time()
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Authorization": f"Bearer {self._tokens[function]}",
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(round((now + RAISED_S) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:us-east-1:000000000001:function:{function}",
            "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0",
            "Stagedoor-Deadline-Ms": str(round((now + timeout_s) * 1000)),
            "Stagedoor-Size": str(size),
            **more,
        }
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    async def line(self) -> _Line:
        """Return a connection that is idle and still open, or a new one. Raises `OSError` and `TimeoutError`."""
        while self._idle:
            line = self._idle.pop()
            if not (line.reader.at_eof() or line.reader.exception() or line.writer.is_closing()):
                return line
            line.writer.close()
        async with asyncio.timeout(_CONNECT_S):
            return _Line(*await asyncio.open_connection("127.0.0.1", self.port, limit=_BUFFER))

    def give_back(self, line: _Line) -> None:
        """Keep a connection whose answer was read to its end."""
        self._idle.append(line)

    def close(self) -> None:
        """Close the idle connections."""
        for line in self._idle:
            line.writer.close()
        self._idle.clear()


class _Call:
    def __init__(self, callers: Callers, attempt: Attempt, head: str, event: bytes) -> None:
        self.asked = 0
        self.in_custody: asyncio.Event | None = None
        self._callers = callers
        self._attempt = attempt
        self._head = head
        self._event = event

    async def tried(self) -> Answer | Failure | Deployed | Ask:
        """Ask once, and return what it came to."""
        try:
            line = await self._callers.line()
        except (OSError, TimeoutError) as error:
            return self._attempt.not_reached(type(error).__name__, time.monotonic())
        whole = False
        try:
            self._send(line)
            outcome = await self._read(line)
            whole = True
        except (_Broken, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            return self._attempt.broken(f"the relay ({type(error).__name__})", time.monotonic())
        else:
            return outcome
        finally:
            if whole:
                self._callers.give_back(line)
            else:
                line.writer.transport.abort()

    def _send(self, line: _Line) -> None:
        attempt = self._attempt
        attempt.said(time.monotonic())
        self.asked += 1
        body = self._event if attempt.with_event else b""
        again = f"Stagedoor-Again: {attempt.again}\r\n" if attempt.again else ""
        session = f"Stagedoor-Session: {attempt.session}\r\n" if attempt.session else ""
        start = f"POST /live/attempts/{attempt.name} HTTP/1.1\r\n{self._head}{again}{session}"
        line.writer.write(f"{start}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def _read(self, line: _Line) -> Answer | Failure | Deployed | Ask:
        async with asyncio.timeout(SILENCE_S) as silence:
            head = (await line.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status = int(head.split(" ", 2)[1])
            if status == 200:
                return await self._follow(line, silence)
            fields = (field.partition(":") for field in head.split("\r\n")[1:])
            headers = {name.lower(): value.strip() for name, _, value in fields}
            await line.reader.readexactly(int(headers.get("content-length", "0")))
        return self._attempt.answered(status, headers.get("retry-after", ""), time.monotonic())

    async def _follow(self, line: _Line, silence: asyncio.Timeout) -> Answer | Failure | Deployed | Ask:
        outcome: Answer | Failure | Deployed | Ask | None = None
        result: dict[str, Any] | None = None
        data: list[bytes] = []
        async for kind, payload in self._frames(line, silence):
            if kind == RESULT:
                result = json.loads(payload)
            elif kind == DATA:
                data.append(payload)
            else:
                outcome = self._told(kind, payload) or outcome
        if result is not None and sum(map(len, data)) == result["size"]:
            return Answer("", result["kind"], b"".join(data))
        if outcome is None:
            raise _Broken
        return outcome

    def _told(self, kind: int, payload: bytes) -> Failure | Deployed | Ask | None:
        """Take note of a frame that is not the result's; return what it comes to, if it is the last."""
        if kind == ROUTED:
            self._attempt.session = json.loads(payload)["session"]
        elif kind == CUSTODY and self.in_custody:
            self.in_custody.set()
        elif kind == DEPLOYED:
            return Deployed()
        elif kind == WANTED:
            return self._attempt.wanted(json.loads(payload))
        elif kind == FAILED:
            said = json.loads(payload)
            return Failure(said["type"], said["message"])
        return None

    async def _frames(self, line: _Line, silence: asyncio.Timeout) -> AsyncIterator[tuple[int, bytes]]:
        """Yield the frames of the chunked answer, each whole, to its end."""
        held = bytearray()
        while True:
            size = int(await line.reader.readuntil(b"\r\n"), 16)
            piece = await line.reader.readexactly(size + 2)
            silence.reschedule(asyncio.get_running_loop().time() + SILENCE_S)
            self._attempt.hears(time.monotonic())
            if size == 0:
                return
            held += memoryview(piece)[:-2]
            while len(held) >= 5 and len(held) >= (end := 5 + int.from_bytes(held[1:5], "big")):
                yield held[0], bytes(held[5:end])
                del held[:end]
