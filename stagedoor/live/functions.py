"""What the agent knows of a function, of its sandbox in AWS and of one invocation; and how a worker is started."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class LiveFunction:
    """A Lambda function whose code is on this machine.

    `name` is the function's physical name. `root` stands in the place of `/var/task`: the handler is found from there,
    and it is the working directory. `layers` stand in the place of `/opt`, the first before the second.
    `interpreter` is the program that runs its code: a Python, or Node. `environment` overrides the sandbox's. `search`
    are folders that its code imports from besides: packages of the repository itself, and what a bundle has of ours.
    """

    name: str
    handler: str
    runtime: str
    root: Path
    interpreter: Path
    layers: tuple[Path, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    search: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Sandbox:
    """An execution environment in AWS, as its bridge described it.

    `environment` is that of its process without the credentials, which are `AccessKeyId`, `SecretAccessKey`, `Token`
    and, where known, `Expiration` (the words of the container credentials' document).
    """

    id: str
    function: str
    environment: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event for one function. Times are milliseconds since the epoch by this machine's clock.

    `deadline_ms` is from the function's own timeout, `limit_ms` from the raised one that AWS ends the sandbox by.
    `headers` are those of Lambda's `/next` with their own names.
    """

    attempt: str
    function: str
    request_id: str
    sandbox: str
    deadline_ms: int
    limit_ms: int
    headers: Mapping[str, str]
    event: bytes
    received_ms: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an invocation: the bytes to post to `/response` or `/error`, and the headers to post them with."""

    kind: Literal["response", "error"]
    body: bytes
    headers: Mapping[str, str]
    started_ms: int = 0
    ended_ms: int = 0


@dataclass(frozen=True, slots=True)
class WorkerCommand:
    """How a worker's process is started. `environment` is put over the sandbox's.

    Every worker, of whatever language, is told where its Runtime API is by `AWS_LAMBDA_RUNTIME_API`. It gets one line
    of JSON on its standard input, `{"reports": fd, "preload": [module, …]}`, and must not load the function's code
    before a second line, `go`. The end of that input is its own end. On the descriptor `reports` it writes a line of
    JSON, `{"files": [path, …]}`, when it has loaded files that it had not reported.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


Commands = Callable[[LiveFunction], Awaitable[WorkerCommand]]
"""Asked anew for each worker. Raises `UserError` where the function cannot be run on this machine."""
