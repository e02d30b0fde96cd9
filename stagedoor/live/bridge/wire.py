"""HTTP/1.1 over a socket, no more of it than a bridge speaks (RFC 9112).

Not `http.client` and `http.server`: they refuse a header line over 64 KiB, where awslambdaric sends X-Ray causes of up
to 1 MiB in one; they take chunks and trailers apart that are to be passed on as they are; and they do not tell whether
a connection broke before anything was sent. They would also double what a cold start spends on imports.
"""

from __future__ import annotations

import contextlib
import functools
import select
import socket
import threading
import time

from stagedoor.live.bridge.named_tuple import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from io import BufferedReader
    from typing import Any

PIECE = 64 * 1024
"""Most bytes of a body that are read at once."""

LARGEST_HEAD = 2 * 1024 * 1024
"""Most bytes of a line of a head; Lambda itself takes one MiB of X-Ray cause."""

IDLE_S = 60.0
"""A connection that was idle for longer is not used again: load balancers and NAT forget it, often without a word."""

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class NotReached(Exception):
    """No connection came about, so nothing was sent."""


class Broken(Exception):
    """The connection ended or fell silent before what was being read or written was whole."""


class Head(NamedTuple):
    """The first line and the header fields of a message, in order, their names as they were written."""

    line: str
    fields: list[tuple[str, str]]

    def get(self, name: str, default: str = "") -> str:
        """Return the first field of that name, which is asked for in lower case."""
        return next((value for field, value in self.fields if field.lower() == name), default)

    def without(self, *names: str) -> Head:
        """Return the head less the fields of those names, in lower case."""
        return Head(self.line, [field for field in self.fields if field[0].lower() not in names])

    @property
    def status(self) -> int:
        """The status of an answer. Raises `Broken` where the line is none."""
        parts = self.line.split(" ", 2)
        if len(parts) < 2 or not parts[1].isdigit():
            raise Broken(f"not an answer: {self.line[:80]!r}")
        return int(parts[1])

    def encoded(self) -> bytes:
        """Return the bytes that go before a body."""
        lines = [self.line, *(f"{name}: {value}" for name, value in self.fields), "", ""]
        return "\r\n".join(lines).encode("latin-1", "replace")


class Connection:
    """One socket, and what was read ahead from it. Every method raises `Broken` where the other side is gone."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connected
        self.reader: BufferedReader = connected.makefile("rb", PIECE)  # type: ignore[assignment]
        self.used = time.time()

    def usable(self) -> bool:
        """Whether it may carry another request: not closed by the other side, not idle for long.

        By the wall clock: a sandbox is frozen between invocations, and the monotonic clock may be with it.
        """
        if not 0 <= time.time() - self.used < IDLE_S:
            return False
        try:
            return not select.select([self.socket], [], [], 0)[0]  # readable without a request: an end, or nonsense
        except (OSError, ValueError):
            return False

    def close(self) -> None:
        """Close it; a read under way in another thread ends."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def silence(self, seconds: float | None) -> None:
        """Take so long a silence for an end from here on; never, for None."""
        self.socket.settimeout(seconds)

    def send(self, head: Head, body: bytes = b"") -> None:
        """Send a message whose body is at hand."""
        self.send_raw(head.encoded() + body[:PIECE])
        for start in range(PIECE, len(body), PIECE):  # in pieces: what may take only so long is each of them
            self.send_raw(body[start : start + PIECE])

    def send_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self.socket.sendall(data)
        except (OSError, ValueError) as error:
            raise Broken(f"could not send: {error}") from None
        self.used = time.time()

    def head(self) -> Head:
        """Return the next message's head; interim answers (1xx) are passed over."""
        while True:
            line = self._line()
            fields = []
            while True:
                field = self._line()
                if not field:
                    break
                name, _, value = field.partition(":")
                fields.append((name, value.strip()))
            if not line.startswith("HTTP/1.1 1"):
                return Head(line, fields)

    def body(self, head: Head, raw: bool = False) -> Iterator[bytes]:
        """Yield the body that follows a head; `raw` with the framing of its chunks and its trailers."""
        if "chunked" in head.get("transfer-encoding").lower():
            yield from self._chunks(raw)
        elif head.get("content-length"):
            yield from self._counted(_number(head.get("content-length"), 10))
        elif head.line.startswith("HTTP/") and head.status not in {204, 304}:
            yield from iter(self._some, b"")  # no length: until the connection's end (RFC 9112 section 6.3)
        self.used = time.time()

    def whole(self, head: Head) -> bytes:
        """Return the body that follows a head."""
        return b"".join(self.body(head))

    def _counted(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self._some(min(left, PIECE))
            if not piece:
                raise Broken(f"ended {left} bytes early")
            left -= len(piece)
            yield piece

    def _chunks(self, raw: bool) -> Iterator[bytes]:
        while True:
            line = self._line()
            if raw:
                yield f"{line}\r\n".encode("latin-1")
            size = _number(line.partition(";")[0].strip(), 16)
            if not size:
                break
            yield from self._counted(size)
            self._line()
            if raw:
                yield b"\r\n"
        while True:
            trailer = self._line()
            if raw:
                yield f"{trailer}\r\n".encode("latin-1")
            if not trailer:
                return

    def _some(self, most: int = PIECE) -> bytes:
        try:
            return self.reader.read1(most)
        except (OSError, ValueError) as error:
            raise Broken(f"could not read: {error}") from None

    def _line(self) -> str:
        try:
            line = self.reader.readline(LARGEST_HEAD)
        except (OSError, ValueError) as error:
            raise Broken(f"could not read: {error}") from None
        if not line.endswith(b"\n"):
            raise Broken("ended within a message" if line else "closed")
        return line.rstrip(b"\r\n").decode("latin-1")


def _number(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError:
        raise Broken(f"not a length: {text[:40]!r}") from None


def quoted(text: str) -> str:
    """Return a text with every byte escaped but the unreserved characters (RFC 3986 section 2.3)."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode())


class Origin:
    """A scheme, host and port to connect to, and the path that everything there is under."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        where, _, path = rest.partition("/")
        self.secure = scheme.lower() == "https"
        self.named = where.rpartition("@")[2]
        host, colon, port = self.named.rpartition(":")
        if not colon or port.endswith("]"):  # an IPv6 address has colons of its own, in brackets
            host, port = self.named, ""
        self.host = host.strip("[]").lower()
        self.port = int(port) if port.isdecimal() else 443 if self.secure else 80
        self.path = f"/{path.partition('?')[0].partition('#')[0]}".rstrip("/")

    def connected(self, seconds: float) -> Connection:
        """Return a connection that came about in that time, name, TCP and TLS together. Raises `NotReached`.

        In a thread of its own, since nothing else limits how long a name's resolution takes.
        """
        made: list[socket.socket] = []
        errors: list[Exception] = []
        late = threading.Event()

        def connect() -> None:
            try:
                done = self._socket(seconds)
            except (OSError, ValueError) as error:
                errors.append(error)
                return
            made.append(done)
            if late.is_set():
                done.close()

        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        thread.join(seconds)
        if made:
            return Connection(made[0])
        late.set()
        raise NotReached(f"{self.named}: {errors[0] if errors else f'not connected within {seconds} s'}")

    def _socket(self, seconds: float) -> socket.socket:
        # A name that is text is encoded by a codec that loads its tables first: only one that needs it is.
        host: Any = self.host.encode("ascii") if self.host.isascii() else self.host
        plain = socket.create_connection((host, self.port), timeout=seconds)
        if not self.secure:
            return plain
        return _tls().wrap_socket(plain, server_hostname=self.host)


@functools.lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    import ssl  # late: a third of what a cold start would spend on imports, and no part of plain HTTP

    return ssl.create_default_context()  # once: it reads every authority that there is
