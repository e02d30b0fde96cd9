"""Bodies on their way through one connection: chunks of many, one after the other, as far as there is credit. Pure.

Each side of the tunnel has one `Outbox` for what it sends and an `Arriving` for each body that comes in.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stagedoor.live.frames import CHUNK, LARGEST_BODY, WINDOW, Frame, FrameInvalid, FrameType, head_frame


@dataclass(slots=True)
class _Leaving:
    body: memoryview
    place: int
    credit: int


class Outbox:
    """What one connection has to send: frames without a body first, then a chunk of each body in turn."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._bodies: dict[int, _Leaving] = {}
        self._turn: deque[int] = deque()

    def put(self, frame: Frame) -> None:
        """Send a frame before any body's next chunk."""
        self._frames.append(frame)

    def send(self, kind: FrameType, stream: int, head: Mapping[str, Any], body: bytes) -> None:
        """Send a head with the body's first bytes, and the rest in its turn. The head must say the body's `size`."""
        first = body[:CHUNK]
        self._frames.append(head_frame(kind, stream, head, first))
        if len(body) > len(first):
            self._bodies[stream] = _Leaving(memoryview(body), len(first), WINDOW - len(first))
            self._turn.append(stream)

    def grant(self, stream: int, more: int) -> None:
        """The other side takes so many bytes more of a body."""
        body = self._bodies.get(stream)
        if body is None:
            return
        if body.credit <= 0 < body.credit + more:
            self._turn.append(stream)
        body.credit += more

    def drop(self, stream: int) -> None:
        """Nobody wants the rest of a body."""
        if self._bodies.pop(stream, None) is not None and stream in self._turn:
            self._turn.remove(stream)

    def next(self) -> Frame | None:
        """Return what is to be sent now; None while there is nothing, or no credit for it."""
        if self._frames:
            return self._frames.popleft()
        if not self._turn:
            return None
        stream = self._turn.popleft()
        body = self._bodies[stream]
        size = min(CHUNK, body.credit, len(body.body) - body.place)
        frame = Frame(FrameType.DATA, stream, bytes(body.body[body.place : body.place + size]))
        body.place += size
        body.credit -= size
        if body.place == len(body.body):
            del self._bodies[stream]
        elif body.credit > 0:
            self._turn.append(stream)
        return frame


@dataclass(slots=True)
class Arriving:
    """A body that comes in, after the head that said its size. Raises `FrameInvalid` where that was not so."""

    size: int
    received: bytearray = field(default_factory=bytearray)
    _ungranted: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.size <= LARGEST_BODY:
            raise FrameInvalid(f"a body of {self.size} bytes")

    @property
    def whole(self) -> bool:
        """Whether all of it is here."""
        return len(self.received) == self.size

    def add(self, piece: bytes) -> int:
        """Take a piece; return how many bytes to grant anew, 0 while that is not worth a frame."""
        self.received += piece
        if len(self.received) > self.size:
            raise FrameInvalid("more bytes than the head said")
        self._ungranted += len(piece)
        if self.whole or self._ungranted < WINDOW // 2:
            return 0
        granted, self._ungranted = self._ungranted, 0
        return granted
