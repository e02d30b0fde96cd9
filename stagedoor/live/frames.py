"""What crosses the tunnel between relay and agent: binary frames, many invocations interleaved. Pure; no I/O.

One WebSocket message is one frame: a byte of type, four of stream (big-endian, 0 for the session itself), the payload.
`docs/live.md` has the table of who sends what when. A body is never sent whole: its head says its size, and chunks of
at most `CHUNK` bytes follow as the other side grants credit, so that 6 MB hold nobody up.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

try:
    import orjson
except ImportError:  # the service has it, a developer's machine need not
    orjson = None  # type: ignore[assignment]

PROTOCOL = "stagedoor.live.1"
"""The WebSocket's subprotocol; the number goes up when an older side would misunderstand."""

CHUNK = 64 * 1024
"""Most bytes of a body in one frame."""

WINDOW = 1024 * 1024
"""Bytes of each body that may be sent before the other side has granted any."""

LARGEST_BODY = 6 * 1024 * 1024 + 64 * 1024
"""Most bytes of an event or a result: Lambda's 6 MB, and room for the error's own words
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
"""

LARGEST_FRAME = CHUNK * 4
"""Most bytes of one message: a head's JSON and a chunk. A longer one but HELLO ends the connection."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode  # json.dumps would make one for each call
LARGEST_HELLO = 4 * 1024 * 1024
"""Most bytes of the first message: it lists each attempt that the agent has, results of the last 30 s among them, with
some 60 bytes for each; an agent that carries a thousand invocations a second has 30,000.
"""

_PREFIX = struct.Struct(">BI")
_LENGTH = struct.Struct(">I")


class FrameType(IntEnum):
    """What a frame says."""

    HELLO = 1  # agent: who it is, what it serves, which attempts it knows
    WELCOME = 2  # relay: the session, its resume token, who else is there
    OTHERS = 3  # relay: who else is there now
    TOKEN = 4  # relay: a fresh token, before the old one expires
    DRAIN = 5  # relay: it will go; connect anew, what is under way goes on there
    SANDBOX = 6  # relay: environment and credentials of a function's sandbox
    FAREWELL = 7  # either: why it closes
    INVOKE = 16  # relay: an attempt and the first bytes of its event
    DATA = 17  # either: more of a body
    CUSTODY = 18  # agent: the event is here whole, and from here on it is mine
    RESULT = 19  # agent: its head and the first bytes
    RECEIVED = 20  # relay: the result is here whole
    CREDIT = 21  # either: so many bytes more may be sent on this stream
    CANCEL = 22  # relay: nobody waits for it any more
    REFUSE = 23  # agent: not taken, and it never will be


class FrameInvalid(Exception):
    """The other side sent what is no frame, or one that cannot be here; the connection is not to be trusted."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; `stream` is 0 where it is about the session."""

    type: FrameType
    stream: int = 0
    payload: bytes = b""

    def encoded(self) -> bytes:
        """Return the WebSocket message."""
        return _PREFIX.pack(self.type, self.stream) + self.payload

    def document(self) -> dict[str, Any]:
        """Return the payload of a frame that is JSON alone. Raises `FrameInvalid`."""
        return _document(self.payload)

    def head(self) -> tuple[dict[str, Any], bytes]:
        """Return the JSON of an `INVOKE` or a `RESULT`, and the body's first bytes. Raises `FrameInvalid`."""
        if len(self.payload) < _LENGTH.size:
            raise FrameInvalid(f"{self.type.name} without a head")
        (length,) = _LENGTH.unpack_from(self.payload)
        end = _LENGTH.size + length
        if end > len(self.payload):
            raise FrameInvalid(f"{self.type.name} with half a head")
        return _document(self.payload[_LENGTH.size : end]), self.payload[end:]

    def credit(self) -> int:
        """Return how many bytes more a `CREDIT` grants. Raises `FrameInvalid`."""
        if len(self.payload) != _LENGTH.size:
            raise FrameInvalid("CREDIT without a number")
        granted: int = _LENGTH.unpack(self.payload)[0]
        return granted


def decoded(message: bytes, largest: int = LARGEST_FRAME) -> Frame:
    """Return the frame of a WebSocket message. Raises `FrameInvalid`."""
    if not _PREFIX.size <= len(message) <= largest:
        raise FrameInvalid(f"a message of {len(message)} bytes")
    number, stream = _PREFIX.unpack_from(message)
    try:
        kind = FrameType(number)
    except ValueError:
        raise FrameInvalid(f"a frame of type {number}") from None
    return Frame(kind, stream, message[_PREFIX.size :])


def session_frame(kind: FrameType, document: Mapping[str, Any]) -> Frame:
    """Return a frame about the session."""
    return Frame(kind, 0, _json(document))


def head_frame(kind: FrameType, stream: int, document: Mapping[str, Any], first: bytes = b"") -> Frame:
    """Return an `INVOKE` or a `RESULT`: its head, which says the body's `size`, and the body's first bytes."""
    head = _json(document)
    return Frame(kind, stream, _LENGTH.pack(len(head)) + head + first)


def credit_frame(stream: int, granted: int) -> Frame:
    """Return the grant of so many bytes more."""
    return Frame(FrameType.CREDIT, stream, _LENGTH.pack(granted))


def chunks(body: bytes, start: int = 0) -> Iterator[bytes]:
    """Yield a body from `start` on in pieces of at most `CHUNK` bytes; none for an empty rest."""
    for place in range(start, len(body), CHUNK):
        yield body[place : place + CHUNK]


def _json(document: Mapping[str, Any]) -> bytes:
    if orjson is not None:
        try:
            return orjson.dumps(document)
        except TypeError:
            pass  # half of a surrogate pair, or a number beyond 64 bits
    return _encode(document).encode("utf-8", "surrogatepass")


def _document(payload: bytes) -> dict[str, Any]:
    document: object = None
    if orjson is not None:
        with suppress(ValueError):  # as above
            document = orjson.loads(payload)
    if document is None:
        try:
            document = json.loads(payload.decode("utf-8", "surrogatepass"))
        except (ValueError, RecursionError):
            raise FrameInvalid("a payload that is not JSON") from None
    if not isinstance(document, dict):
        raise FrameInvalid("a payload that is not an object")
    return document
