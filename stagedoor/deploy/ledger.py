"""What a run writes down about each changing operation: before the call, and after it.

The token of an operation goes to AWS as its client request token. Its parts are the run, the operation's place and the
attempt, so that a retried call is the same request and a later attempt is another.
Rule: `ClientRequestToken` is at most 128 characters of `[a-zA-Z0-9-]`
(https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ExecuteChangeSet.html).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

TOKEN_LIMIT = 128


@dataclass(frozen=True, slots=True)
class Step:
    """One changing operation of a run: `operation` (create-change-set, delete-stack, …) on `subject`.

    `before` is what was known when it was begun, `after` what came of it; both are plain JSON. A step without an
    `outcome` was begun by a process that did not live to see its end.
    """

    operation: str
    subject: str
    attempt: int
    token: str
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    outcome: str | None = None


class Ledger(Protocol):
    """Where steps are written down. Every method raises `LeaseLost` when another holder has the stage."""

    def begin(self, operation: str, subject: str, before: Mapping[str, Any]) -> Step:
        """Write the next attempt of an operation down, durably, before it is called."""

    def finish(self, step: Step, outcome: str, after: Mapping[str, Any]) -> None:
        """Write down what came of it: `done`, `failed` or `refused`."""

    def check(self) -> None:
        """Raise `LeaseLost` when this process may no longer change anything. Called before each changing AWS call."""


def token(generation: int, run: str, operation: str, subject: str, attempt: int) -> str:
    """Return the client request token of an operation. It begins `g<generation>-r<run>-`, which people can read in a
    stack's events; what follows tells operation, stack and attempt apart and is hashed where it would be too long.
    """
    text = re.sub(r"[^a-zA-Z0-9-]", "-", f"g{generation}-r{run}-{operation}-{subject}-{attempt}")
    if len(text) <= TOKEN_LIMIT:
        return text
    digest = hashlib.sha256(f"{operation}/{subject}".encode()).hexdigest()[:16]
    return re.sub(r"[^a-zA-Z0-9-]", "-", f"g{generation}-r{run}-{operation}-{digest}-{attempt}")[:TOKEN_LIMIT]


class MemoryLedger:
    """The ledger of a command line that is alone with its stage: what it writes is gone when it ends."""

    def __init__(self, run: str, generation: int = 0) -> None:
        self._run = run
        self._generation = generation
        self._attempts: dict[tuple[str, str], int] = {}
        self.steps: list[Step] = []

    def begin(self, operation: str, subject: str, before: Mapping[str, Any]) -> Step:
        """Remember the next attempt."""
        attempt = self._attempts.get((operation, subject), 0) + 1
        self._attempts[operation, subject] = attempt
        step = Step(
            operation, subject, attempt, token(self._generation, self._run, operation, subject, attempt), before
        )
        self.steps.append(step)
        return step

    def finish(self, step: Step, outcome: str, after: Mapping[str, Any]) -> None:
        """Replace the begun step by the finished one."""
        place = next(index for index, known in enumerate(self.steps) if known.token == step.token)
        self.steps[place] = Step(step.operation, step.subject, step.attempt, step.token, step.before, after, outcome)

    def check(self) -> None:
        """Do nothing: nobody else holds the stage."""
