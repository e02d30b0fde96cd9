"""An attempt: one event of one sandbox, from the moment its bridge asks until its result is forgotten. No I/O.

    ASKED ─▶ ROUTED ─▶ OFFERED ─▶ CUSTODY ─▶ RESULT
      │         └─────────┴──────────┴─────▶ FAILED
      └▶ DEPLOYED

From OFFERED on it may have started in its session, so nobody else ever gets it. What a bridge is told follows from the
phase alone, so one that comes back after a cut is told all of it again.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

import orjson

BEAT_SECONDS = 2.0
DATA_BYTES = 256 * 1024
"""Most bytes of a result in one frame to a bridge."""

Key = tuple[int, str]
"""Stage and attempt: two stages' bridges cannot get into each other's way."""


class Phase(StrEnum):
    """How far an attempt has come."""

    ASKED = "asked"
    ROUTED = "routed"  # the bridge is to be told who gets it, before that one does
    OFFERED = "offered"
    CUSTODY = "custody"
    RESULT = "result"
    FAILED = "failed"
    DEPLOYED = "deployed"


UNDER_WAY = frozenset({Phase.ROUTED, Phase.OFFERED, Phase.CUSTODY})
OVER = frozenset({Phase.RESULT, Phase.FAILED, Phase.DEPLOYED})


class BridgeFrame(IntEnum):
    """The frames of the answer to a bridge: a byte of type, four of length, the payload."""

    BEAT = 0
    DEPLOYED = 1
    WANTED = 2
    ROUTED = 3
    CUSTODY = 4
    RESULT = 5
    DATA = 6
    FAILED = 7


@dataclass(frozen=True, slots=True)
class Ask:
    """What a bridge said. Times are seconds since the epoch: `deadline` of the handler, `limit` of the sandbox.

    `again` counts the earlier times; `session` is the one that the bridge was told of. `open_sessions` are those that
    the table has open for the stage, looked up where the attempt is unknown here and is asked for again, or where this
    process is new. `only` is the session that another process has chosen.
    """

    stage_id: int
    function: str
    attempt: str
    headers: Mapping[str, str]
    size: int
    deadline: float
    limit: float
    sandbox: str = ""
    again: int = 0
    session: str = ""
    developer: str = ""
    open_sessions: frozenset[str] = frozenset()
    only: str = ""
    replay_of: int | None = None

    @property
    def key(self) -> Key:
        """Return what the attempt is known by."""
        return self.stage_id, self.attempt

    @property
    def request_id(self) -> str:
        """Return Lambda's id of the request, which AWS uses again when it retries."""
        return self.headers.get("Lambda-Runtime-Aws-Request-Id", "")

    @property
    def arn(self) -> str:
        """Return what was invoked: the function's ARN, with an alias or version where one was named."""
        return self.headers.get("Lambda-Runtime-Invoked-Function-Arn", "")


@dataclass(frozen=True, slots=True)
class Result:
    """What the handler gave: `kind` is `response` or `error`; `headers` are for the bridge to post with."""

    kind: str
    headers: Mapping[str, str]
    body: bytes
    started_ms: int = 0
    ended_ms: int = 0


@dataclass(frozen=True, slots=True)
class Failure:
    """A function error that we say in the handler's place."""

    type: str
    message: str


@dataclass(slots=True)
class Attempt:
    """An attempt as it stands. Only the switchboard changes it.

    `calls` counts the bridge's calls that are open; `left_at` is when the last of them ended. `told`: a bridge knows of
    its session. `refused` are sessions that will not have it. `moved`: it goes on in another process.
    `kept_event` is for the record, where the stage keeps payloads.
    """

    ask: Ask
    received: float
    event: bytes | None = None
    phase: Phase = Phase.ASKED
    session: str = ""
    told: bool = False
    refused: set[str] = field(default_factory=set)
    moved: bool = False
    calls: int = 0
    left_at: float = 0.0
    result: Result | None = None
    failure: Failure | None = None
    reason: str = ""
    times: dict[str, float] = field(default_factory=dict)
    developer: str = ""
    kept_event: bytes | None = None

    @property
    def under_way(self) -> bool:
        """Tell whether it is a session's."""
        return self.phase in UNDER_WAY

    @property
    def over(self) -> bool:
        """Tell whether its outcome is known."""
        return self.phase in OVER

    @property
    def waits_for_event(self) -> bool:
        """Tell whether the bridge must send the event before anybody can be offered it."""
        return self.event is None and self.ask.size > 0


def bridge_frame(kind: BridgeFrame, payload: bytes = b"") -> bytes:
    """Return a frame of the answer to a bridge."""
    return bytes((kind,)) + len(payload).to_bytes(4, "big") + payload


def json_frame(kind: BridgeFrame, document: Mapping[str, Any]) -> bytes:
    """Return a frame whose payload is JSON."""
    try:
        payload = orjson.dumps(document)
    except TypeError:  # half of a surrogate pair, in words that an agent said
        payload = json.dumps(document).encode()
    return bridge_frame(kind, payload)


@dataclass(slots=True)
class Told:
    """What one call of a bridge has been told so far."""

    session: str = ""
    custody: bool = False


def due(attempt: Attempt, told: Told) -> tuple[list[bytes], bool]:
    """Return what is to be said on a call now, all but the result's bytes, and whether the call is over then."""
    frames: list[bytes] = []
    if attempt.session and told.session != attempt.session:
        told.session = attempt.session
        frames.append(json_frame(BridgeFrame.ROUTED, {"session": attempt.session, "developer": attempt.developer}))
    if attempt.phase in {Phase.CUSTODY, Phase.RESULT} and not told.custody:
        told.custody = True
        frames.append(bridge_frame(BridgeFrame.CUSTODY))
    match attempt.phase:
        case Phase.RESULT if attempt.result is not None:
            head = {
                "kind": attempt.result.kind,
                "headers": dict(attempt.result.headers),
                "size": len(attempt.result.body),
            }
            frames.append(json_frame(BridgeFrame.RESULT, head))
            return frames, True
        case Phase.FAILED if attempt.failure is not None:
            failure = {"type": attempt.failure.type, "message": attempt.failure.message}
            frames.append(json_frame(BridgeFrame.FAILED, failure))
            return frames, True
        case Phase.DEPLOYED:
            frames.append(json_frame(BridgeFrame.DEPLOYED, {"reason": attempt.reason}))
            return frames, True
        case _:
            return frames, attempt.moved


def data_frames(body: bytes) -> Iterator[bytes]:
    """Yield the frames of a result's bytes."""
    view = memoryview(body)
    for start in range(0, len(body), DATA_BYTES):
        yield bridge_frame(BridgeFrame.DATA, bytes(view[start : start + DATA_BYTES]))
