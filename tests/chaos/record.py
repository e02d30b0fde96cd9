"""What AWS was asked, call by call, and the question whether an older one of two ever acted after the newer.

A call *changes* when it is not a read. A call *acts* when it changes a stage's resources or its stack's life and AWS
accepted it: executing a change set, deleting a stack, cancelling or continuing an update. Making a change set does not
act, as it changes nothing until somebody executes it; nor does deleting one; nor does a call that AWS refused, such as
the execution of a change set that a successor has deleted.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

READS = ("Get", "List", "Describe", "Head", "AssumeRole", "Validate")
ACTING = frozenset(
    {
        "CancelUpdateStack",
        "ContinueUpdateRollback",
        "CreateStack",
        "DeleteStack",
        "ExecuteChangeSet",
        "RollbackStack",
        "UpdateStack",
        "UpdateTerminationProtection",
    }
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call, by when it came to AWS and when AWS had answered (seconds of one clock).

    `run` and `generation` are what the caller says of itself in its User-Agent; `stack` is a name, whether the call
    named the stack by name or ARN.
    """

    at: float
    until: float
    service: str
    operation: str
    stack: str
    change_set: str
    token: str
    run: int
    generation: int
    status: int
    error: str = ""

    @property
    def changes(self) -> bool:
        """Whether it is not a read."""
        return not self.operation.startswith(READS)

    @property
    def acts(self) -> bool:
        """Whether it changed a stage's stack, and was accepted."""
        return self.operation in ACTING and self.status < 300


@dataclass(frozen=True, slots=True)
class Overtaken:
    """An older one's call that acted although a newer one had begun."""

    newer: Call
    older: Call

    def __str__(self) -> str:
        return (
            f"{self.older.stack}: {self.older.operation} of run {self.older.run} (generation {self.older.generation}) "
            f"{self.older.at - self.newer.at:.2f} s after run {self.newer.run} (generation {self.newer.generation}) "
            f"had begun with {self.newer.operation}"
        )

    @classmethod
    def among(cls, calls: Iterable[Call], age: Callable[[Call], int]) -> list[Self]:
        """Return every call that acted on a stack after one of higher `age` had made its first change to that stack."""
        return [found for of_one in by_stack(calls) for found in cls._in_one(of_one, age)]

    @classmethod
    def _in_one(cls, calls: Sequence[Call], age: Callable[[Call], int]) -> Iterator[Self]:
        newest: Call | None = None
        for call in calls:
            if newest is not None and age(call) < age(newest):
                if call.acts:
                    yield cls(newest, call)
            elif newest is None or age(call) > age(newest):
                newest = call


def by_stack(calls: Iterable[Call]) -> list[list[Call]]:
    """Return the changing calls of each stack, in the order in which they came to AWS."""
    found: defaultdict[str, list[Call]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: call.at):
        if call.changes and call.stack and call.run:
            found[call.stack].append(call)
    return list(found.values())
