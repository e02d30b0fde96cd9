"""A TCP proxy that can be cut: what a network between two of the parts may do to them."""

import asyncio
from contextlib import suppress


class Wire:
    """Passes on what comes to `port`, to the port `to` of this machine. While `down`, nobody gets through."""

    def __init__(self, to: int) -> None:
        self.port = 0
        self.down = False
        self.cuts = 0
        self.to = to
        self._open: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _End(self), "127.0.0.1", 0, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Break every connection, without a word (RST)."""
        self.cuts += 1
        for transport in list(self._open):
            transport.abort()

    def close(self) -> None:
        """Break every connection, and listen no more."""
        if self._server:
            self._server.close()
        self.cut()

    def opened(self, transport: asyncio.Transport) -> None:
        """A connection is there, of either side."""
        self._open.add(transport)

    def closed(self, transport: asyncio.Transport) -> None:
        """A connection is no more."""
        self._open.discard(transport)

    async def beyond(self, near: "_End") -> None:
        """Connect one who came to whom they wanted."""
        if not self.down:
            with suppress(OSError):
                await asyncio.get_running_loop().create_connection(lambda: _End(self, near), "127.0.0.1", self.to)
                return
        if near.transport:
            near.transport.abort()


class _End(asyncio.Protocol):
    """One end of a connection; what it gets it writes to the `other`."""

    def __init__(self, wire: Wire, other: "_End | None" = None) -> None:
        self.transport: asyncio.Transport | None = None
        self._wire = wire
        self._other = other
        self._early: list[bytes] = []
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._wire.opened(transport)
        if self._other is None:
            self._task = asyncio.ensure_future(self._wire.beyond(self))
        else:
            self._other.meet(self)
            if self._other.transport is None or self._other.transport.is_closing():
                transport.abort()

    def meet(self, other: "_End") -> None:
        """The connection beyond stands."""
        self._other = other
        for piece in self._early:
            other.write(piece)
        self._early.clear()

    def write(self, data: bytes) -> None:
        """Pass on what came to the other end."""
        if self.transport:
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._other:
            self._other.write(data)
        else:
            self._early.append(data)

    def pause_writing(self) -> None:
        if self._other and self._other.transport:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._other and self._other.transport:
            self._other.transport.resume_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        if self.transport:
            self._wire.closed(self.transport)
        if self._other and self._other.transport:
            self._other.transport.close()
