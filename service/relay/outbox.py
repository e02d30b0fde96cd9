"""What waits to be sent through one tunnel: heads first, then bodies in turn, each as far as it was granted. No I/O."""

from collections import deque

from stagedoor.live.frames import CHUNK, WINDOW, Frame, FrameType, head_frame


class Outbox:
    """The frames that are due to one agent, in the order in which they should leave."""

    def __init__(self) -> None:
        self._urgent: deque[bytes] = deque()
        self._bodies: dict[int, _Body] = {}
        self._turn: deque[int] = deque()

    def put(self, frame: Frame) -> None:
        """Have a frame sent before all bodies."""
        self._urgent.append(frame.encoded())

    def put_head(self, stream: int, head: dict[str, object], body: bytes) -> None:
        """Have an `INVOKE` sent, with its body's first bytes, and then the rest as it is granted."""
        first = body[:CHUNK]
        self.put(head_frame(FrameType.INVOKE, stream, head, first))
        if len(body) > len(first):
            self._bodies[stream] = _Body(body, len(first), WINDOW)
            self._turn.append(stream)

    def grant(self, stream: int, more: int) -> None:
        """The agent takes so many bytes more of this stream's body."""
        if (body := self._bodies.get(stream)) is not None:
            body.granted += more
            if stream not in self._turn:
                self._turn.append(stream)

    def drop(self, stream: int) -> None:
        """Send no more of this stream's body."""
        self._bodies.pop(stream, None)

    def next(self) -> bytes | None:
        """Return the next message to send; None when nothing may leave now."""
        if self._urgent:
            return self._urgent.popleft()
        while self._turn:
            stream = self._turn.popleft()
            body = self._bodies.get(stream)
            if body is None or body.sent >= body.granted:
                continue  # comes back when it is granted more
            end = min(body.sent + CHUNK, body.granted, len(body.data))
            piece = body.data[body.sent : end]
            body.sent = end
            if end == len(body.data):
                del self._bodies[stream]
            else:
                self._turn.append(stream)
            return Frame(FrameType.DATA, stream, piece).encoded()
        return None


class _Body:
    __slots__ = ("data", "granted", "sent")

    def __init__(self, data: bytes, sent: int, granted: int) -> None:
        self.data = data
        self.sent = sent
        self.granted = granted
