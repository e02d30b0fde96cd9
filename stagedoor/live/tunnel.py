"""The agent's side of the tunnel: one WebSocket, made again when it breaks, handed over when the relay drains.

What is said on it is docs/live.md's ("Relay ↔ agent"). What an invocation means is decided in `agent.py`.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
from aiohttp import WSMsgType, WSServerHandshakeError

from stagedoor.errors import UserError
from stagedoor.live.agent_events import Connected, Cut, Developer, OnEvent, Others
from stagedoor.live.bodies import Outbox
from stagedoor.live.frames import LARGEST_FRAME, PROTOCOL, Frame, FrameInvalid, FrameType, decoded, session_frame

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
_HEARTBEAT = 5.0
"""Seconds between pings; half of it without an answer is a cut, well within the relay's grace."""
_HANDSHAKE_SECONDS = 10.0
_AT_ONCE = 16
"""Of many frames that are here, so many are taken before what they began goes on: the first of a thousand events does
not wait for the last to be read."""

Tokens = Callable[[bool], Awaitable[str]]
"""Gives the stage token to connect with; True asks for a new one, as the last was not taken."""


class TunnelRefused(UserError):
    """The service does not let this developer in."""

    id = "tunnel-refused"


class SessionEnded(UserError):
    """The relay ended the session and will not take it back."""

    id = "session-ended"


class Served(Protocol):
    """Who answers what comes through the tunnel."""

    def hello(self) -> Mapping[str, Any]:
        """Return what a connection begins with, but for the session's own words."""
        ...

    def welcomed(self, now_ms: int | None, connection: "Connection") -> None:
        """A connection stands, and is the one to answer on."""
        ...

    def frame(self, frame: Frame, connection: "Connection") -> None:
        """Take a frame about an invocation or a sandbox. Raises `FrameInvalid`."""
        ...

    def gone(self, connection: "Connection") -> None:
        """A connection is no more."""
        ...


class Connection:
    """One WebSocket, and what is to be sent on it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.outbox = Outbox()
        self._more = asyncio.Event()

    def send(self, frame: Frame) -> None:
        """Send a frame soon."""
        self.outbox.put(frame)
        self._more.set()

    def wake(self) -> None:
        """Look into the outbox again."""
        self._more.set()

    async def write(self) -> None:
        """Send what is in the outbox until the connection breaks."""
        while not self.socket.closed:
            while frame := self.outbox.next():
                await self.socket.send_bytes(frame.encoded())
            self._more.clear()
            await self._more.wait()


@dataclass(slots=True)
class _Session:
    id: str | None = None
    resume: str | None = None
    token: str | None = None


class Tunnel:
    """Keeps a session with the relay for as long as `run` runs."""

    def __init__(self, server: str, tokens: Tokens, served: Served, on_event: OnEvent) -> None:
        self._url = f"{server.rstrip('/')}/live/tunnel"
        self._tokens = tokens
        self._served = served
        self._on_event = on_event
        self._session = _Session()
        self._current: Connection | None = None
        self._old: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until cancelled. Raises `TunnelRefused` and `SessionEnded`."""
        pause = FIRST_PAUSE
        async with aiohttp.ClientSession() as http:
            try:
                while True:
                    try:
                        drained = await self._serve(http)
                        pause = FIRST_PAUSE
                        if drained:
                            continue
                        reason = "The connection was closed."
                    except (aiohttp.ClientError, OSError, TimeoutError, FrameInvalid) as error:
                        reason = f"{type(error).__name__}: {error}".rstrip(": ")
                    if pause == FIRST_PAUSE:
                        self._on_event(Cut(reason))
                    await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                    pause = min(LONGEST_PAUSE, pause * 2)
            finally:
                await self._farewell()

    async def _serve(self, http: aiohttp.ClientSession) -> bool:
        """Connect and serve one connection; return whether it drains, and goes on beside the next."""
        socket = await self._connected(http)
        connection = Connection(socket)
        writing = asyncio.create_task(connection.write())
        draining = asyncio.Event()
        reading = asyncio.create_task(self._read(connection, draining))
        drained = asyncio.create_task(draining.wait())
        try:
            await asyncio.wait({reading, drained, writing}, return_when=asyncio.FIRST_COMPLETED)
            if draining.is_set() and not reading.done():
                old = asyncio.create_task(self._finish(connection, reading, writing))
                self._old.add(old)
                old.add_done_callback(self._old.discard)
                return True
            await self._end(connection, reading, writing)
            return False
        except asyncio.CancelledError:
            reading.cancel()
            raise
        finally:
            drained.cancel()

    async def _connected(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        for again in (False, True):
            token = (None if again else self._session.token) or await self._tokens(again)
            try:
                async with asyncio.timeout(_HANDSHAKE_SECONDS):
                    return await http.ws_connect(
                        self._url,
                        protocols=[PROTOCOL],
                        headers={"Authorization": f"Bearer {token}"},
                        heartbeat=_HEARTBEAT,
                        compress=0,
                        max_msg_size=LARGEST_FRAME,
                    )
            except WSServerHandshakeError as error:
                self._session.token = None
                if error.status not in (401, 403):
                    raise
                status = error.status
        raise TunnelRefused(
            f"The service did not take the token ({status}).",
            "Run stagedoor login, and see that you have write permission on the repository.",
        )

    async def _read(self, connection: Connection, draining: asyncio.Event) -> None:
        hello = {"protocol": 1, "session": self._session.id, "resume": self._session.resume} | dict(
            self._served.hello()
        )
        connection.send(session_frame(FrameType.HELLO, {k: v for k, v in hello.items() if v is not None}))
        count = 0
        async for message in connection.socket:
            count += 1
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if message.type is not WSMsgType.BINARY:
                raise FrameInvalid(f"a message of type {message.type!r}")
            frame = decoded(message.data)
            try:
                if frame.stream or frame.type is FrameType.SANDBOX:
                    self._served.frame(frame, connection)
                elif frame.type is FrameType.DRAIN:
                    draining.set()
                else:
                    self._about_the_session(frame, connection)
            except (KeyError, TypeError, ValueError) as error:
                raise FrameInvalid(f"{frame.type.name} without what it must say: {error!r}") from error

    def _about_the_session(self, frame: Frame, connection: Connection) -> None:
        said = frame.document()
        if frame.type is FrameType.WELCOME:
            resumed = said["session"] == self._session.id
            self._session.id, self._session.resume = said["session"], said["resume"]
            self._current = connection
            self._served.welcomed(said.get("now_ms"), connection)
            self._on_event(Connected(said["session"], said.get("developer", ""), said.get("stage", ""), resumed))
            self._on_event(Others(_developers(said)))
        elif frame.type is FrameType.OTHERS:
            self._on_event(Others(_developers(said)))
        elif frame.type is FrameType.TOKEN:
            self._session.token = said["token"]
        elif frame.type is FrameType.FAREWELL:
            raise SessionEnded(str(said.get("reason", "The service ended the session.")), "Start stagedoor dev again.")
        else:
            raise FrameInvalid(f"{frame.type.name} about the session")

    async def _finish(self, connection: Connection, reading: asyncio.Task[None], writing: asyncio.Task[None]) -> None:
        """Let an old connection go on until the relay closes it."""
        await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        with contextlib.suppress(aiohttp.ClientError, OSError, FrameInvalid, UserError):
            await self._end(connection, reading, writing)

    async def _end(self, connection: Connection, reading: asyncio.Task[None], writing: asyncio.Task[None]) -> None:
        """Close a connection whose reader or writer has ended, and raise what ended it."""
        self._served.gone(connection)
        writing.cancel()
        await connection.socket.close()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(writing, return_exceptions=True)
        await reading

    async def _farewell(self) -> None:
        if self._current is None or self._current.socket.closed:
            return
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(1):
                frame = session_frame(FrameType.FAREWELL, {"reason": "The developer stopped it."})
                await self._current.socket.send_bytes(frame.encoded())
                await self._current.socket.close()


def _developers(said: Mapping[str, Any]) -> tuple[Developer, ...]:
    return tuple(
        Developer(other["session"], other.get("developer", ""), tuple(other.get("functions") or ()))
        for other in said.get("others", ())
    )
