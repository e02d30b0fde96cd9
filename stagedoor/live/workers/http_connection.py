"""HTTP/1.1 as a worker's process speaks it with its Runtime API: one connection, one request at a time (RFC 9112).

It does without tasks and streams: an invocation is two requests, and they were half of what it cost an agent.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

LARGEST_HEAD = 2 * 1024 * 1024
"""Most bytes of a head: awslambdaric sends what X-Ray is told of an error in a header of up to 1 MiB."""

_LONGEST_LINE = 64 * 1024
_END = b"\r\n\r\n"
_REASONS = {int(status): status.phrase for status in HTTPStatus}
_FORBIDDEN = str.maketrans("\r\n\0", "   ")


class _Invalid(Exception):
    """What came is not HTTP."""


@dataclass(slots=True)
class Request:
    """A request, whole. Header names are in lower case; a character of a value is a byte (latin-1).

    `body` is None where it had more bytes than are taken; it was read to its end all the same.
    """

    connection: "HttpConnection"
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None = b""

    def answer(self, status: int, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Answer it, now or later; what comes next on the connection is read then."""
        self.connection.answer(status, headers, body)


class HttpConnection(asyncio.Protocol):
    """One end of a connection. `serve` is given each request when it is whole, `lost` is told of the end."""

    def __init__(
        self, serve: Callable[[Request], None], lost: Callable[["HttpConnection"], None], largest_body: int
    ) -> None:
        self.transport: asyncio.Transport | None = None
        self._serve = serve
        self._lost = lost
        self._largest = largest_body
        self._received = bytearray()
        self._looked = 0
        self._request: Request | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._left: int | None = None  # bytes of the body, or of its chunk; None: a head or a chunk's line comes next
        self._chunked = False
        self._trailers = False
        self._answering = self._closes = False

    @property
    def is_open(self) -> bool:
        """Whether an answer may still arrive."""
        return self.transport is not None and not self.transport.is_closing()

    def close(self) -> None:
        """Break it."""
        if self.transport is not None:
            self.transport.abort()

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Answer the request at hand, and read on."""
        if self.transport is None or self.transport.is_closing():
            return
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value.translate(_FORBIDDEN)}" for name, value in headers.items()]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
        self.transport.write(head + body if len(body) < _LONGEST_LINE else head)
        if len(body) >= _LONGEST_LINE:
            self.transport.write(body)
        self._answering = False
        if self._closes:
            self.transport.close()
        elif self._received:
            self._read()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def connection_lost(self, _error: Exception | None) -> None:
        """It is no more."""
        self.transport = None
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._left is not None and not self._received and len(data) <= self._left:
            self._take(data)  # of a large body, without a copy more
            if self._left == 0 and not self._answering:
                self._read()
            return
        self._received += data
        if not self._answering:
            self._read()

    def _read(self) -> None:
        """Take in what is here, as far as it is whole; a request that is whole is served, and waited for."""
        try:
            while not self._answering and self._step():
                pass
        except (_Invalid, ValueError):
            self._closes = True
            self.answer(400, {}, b"")

    def _step(self) -> bool:
        if self._request is None:
            return self._head()
        if self._left:
            piece = bytes(self._received[: self._left])
            del self._received[: self._left]
            self._take(piece)
            return bool(piece)
        if not self._chunked:
            self._whole()
            return True
        return self._chunk()

    def _head(self) -> bool:
        end = self._received.find(_END, max(0, self._looked - 3))
        if end < 0:
            self._looked = len(self._received)
            if self._looked > LARGEST_HEAD:
                raise _Invalid
            return False
        self._looked = 0
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        del self._received[: end + 4]
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise _Invalid
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise _Invalid
            headers.setdefault(name.lower(), value.strip(" \t"))
        self._request = Request(self, words[0], words[1].partition("?")[0], headers)
        self._closes = words[2] == "HTTP/1.0" or headers.get("connection", "").lower() == "close"
        self._chunked = headers.get("transfer-encoding", "").lower().endswith("chunked")
        self._left = None if self._chunked else _number(headers.get("content-length", "0"), 10)
        if headers.get("expect", "").lower() == "100-continue" and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def _chunk(self) -> bool:
        """Read the line that a chunk begins with, or one of those after the last."""
        end = self._received.find(b"\r\n")
        if end < 0:
            if len(self._received) > LARGEST_HEAD:
                raise _Invalid
            return False
        line = bytes(self._received[:end])
        del self._received[: end + 2]
        if self._trailers:
            if not line:
                self._whole()
        elif self._left == 0:
            self._left = None  # the end of the line that a chunk ends with
        else:
            self._left = _number(line.partition(b";")[0].strip().decode("latin-1"), 16)
            self._trailers = self._left == 0
        return True

    def _take(self, piece: bytes) -> None:
        assert self._left is not None  # noqa: S101
        self._left -= len(piece)
        self._size += len(piece)
        if self._size <= self._largest:
            self._parts.append(piece)

    def _whole(self) -> None:
        request = self._request
        assert request is not None  # noqa: S101
        request.body = b"".join(self._parts) if self._size <= self._largest else None
        self._request, self._left, self._size = None, None, 0
        self._parts = []
        self._chunked = self._trailers = False
        self._answering = True
        self._serve(request)


def _number(text: str, base: int) -> int:
    if not text or not text.isalnum() or len(text) > 16:
        raise _Invalid
    return int(text, base)
