"""What the agent says while it runs. It does not know who listens: the command line prints it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Developer:
    """Somebody else who is connected to the same stage; `functions` are those that they asked for, none meaning all."""

    session: str
    name: str
    functions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Connected:
    """The tunnel stands. `resumed` after a cut that lost nothing; `stage` is the stage's name."""

    session: str
    developer: str
    stage: str
    resumed: bool


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection broke and is being made again; `reason` is one sentence."""

    reason: str


@dataclass(frozen=True, slots=True)
class Others:
    """Who else is connected now."""

    others: tuple[Developer, ...]


@dataclass(frozen=True, slots=True)
class InvocationStarted:
    """A worker has the event. `waited_ms` is how long it waited for that worker after it had arrived."""

    attempt: str
    function: str
    request_id: str
    event: bytes
    waited_ms: int


@dataclass(frozen=True, slots=True)
class InvocationFinished:
    """`error` is Lambda's document of a function error (`errorType`, `errorMessage`, `stackTrace`), or None."""

    attempt: str
    function: str
    request_id: str
    duration_ms: float
    size: int
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """Something that a worker printed or logged: a line, or a whole entry of the logging library.

    `attempt` is None for what it says while it starts or between invocations. `level` is the entry's, where it has one.
    """

    function: str
    attempt: str | None
    text: str
    level: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A worker has loaded the function's code, `seconds` after it was told to."""

    function: str
    pid: int
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkerEnded:
    """A worker is gone; `why` is "reloaded", "idle", "stopped", "failed" or what Lambda would say of its exit."""

    function: str
    pid: int
    why: str


@dataclass(frozen=True, slots=True)
class Imported:
    """A worker has loaded files of which it had not told yet: what a change of them concerns."""

    function: str
    files: frozenset[str]


AgentEvent = (
    Connected | Cut | Others | InvocationStarted | InvocationFinished | LogLine | WorkerStarted | WorkerEnded | Imported
)

OnEvent = Callable[[AgentEvent], None]
"""Takes an event in the agent's own loop and returns at once."""
