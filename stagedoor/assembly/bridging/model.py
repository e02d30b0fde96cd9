"""What bridging is told."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

LONGEST_TIMEOUT = 900
"""Seconds that Lambda lets a function run at most, and so how long a breakpoint may be held
(https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html)."""


@dataclass(frozen=True)
class Bridges:
    """How a stage's functions are bridged.

    `server` is the URL under which bridges reach the relay, `stage` the stage's key there. `archive` is the zip that is
    published: the layer's content, with `wrapper` as the path of its program in a sandbox, or, with an `emulator`, the
    function's own code. `functions` are shell patterns of construct paths and logical ids; with none, all functions
    stay as they are and only the layer is there. `emulator` is the endpoint of an AWS on this machine that knows no
    wrappers.
    """

    server: str
    stage: str
    archive: bytes
    wrapper: str
    functions: tuple[str, ...] = ("*",)
    emulator: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the archive, in hexadecimal."""
        return hashlib.sha256(self.archive).hexdigest()

    def variables(self, timeout: object, wrapper: object) -> Mapping[str, object]:
        """Return what a bridge finds in its environment (docs/live.md), given the function's own timeout, in seconds,
        and the exec wrapper that it had, if any.
        """
        own: dict[str, object] = {
            "STAGEDOOR_LIVE_SERVER": self.server,
            "STAGEDOOR_LIVE_STAGE": self.stage,
            "STAGEDOOR_LIVE_TIMEOUT": str(timeout) if isinstance(timeout, int) else timeout,
        }
        if self.emulator:
            return {**own, "AWS_ENDPOINT_URL": self.emulator}
        return {
            **own,
            "AWS_LAMBDA_EXEC_WRAPPER": self.wrapper,
            **({"STAGEDOOR_LIVE_WRAPPER": wrapper} if wrapper else {}),
        }
