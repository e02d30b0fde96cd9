"""A session: one developer's agent on one stage, for as long as it runs. It outlives its connections. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from service.relay.attempts import Key

GRACE_SECONDS = 8.0
"""A connection that comes back within it was cut, one that does not is dead."""


@dataclass(slots=True)
class Session:
    """A session as it stands. Times are seconds since the epoch.

    `functions` are those it serves alone; None: any. `debug` are those whose handlers may last as long as the sandbox.
    `known` are attempts that the agent listed when it came back, by their id, and that no bridge has asked for yet;
    `attempts` those that are under way there. `cut_at` is None while it is connected. `held` counts bytes of events
    that wait for it. `owner` and `personal` are its stage's.
    """

    id: str
    stage_id: int
    developer: str
    opened_at: float
    name: str = ""
    functions: frozenset[str] | None = None
    debug: frozenset[str] = frozenset()
    owner: str = ""
    personal: bool = False
    known: dict[str, str] = field(default_factory=dict)
    attempts: set[Key] = field(default_factory=set)
    cut_at: float | None = None
    connected_at: float = 0.0
    held: int = 0

    def serves(self, function: str) -> bool:
        """Tell whether it would take this function's invocations."""
        return self.functions is None or function in self.functions

    def is_of(self, developer: str) -> bool:
        """Tell whether it is this developer's, by login or by the name that the agent gave; case does not matter."""
        return developer.casefold() in {self.developer.casefold(), self.name.casefold()}

    def introduction(self) -> dict[str, Any]:
        """Return what the others on the stage are told of it."""
        return {
            "session": self.id,
            "developer": self.developer,
            "functions": None if self.functions is None else sorted(self.functions),
            "since": int(self.opened_at * 1000),
        }


def others(sessions: Iterable[Session], session: Session) -> list[dict[str, Any]]:
    """Return who else is there, of a stage's sessions, in the order in which they came."""
    there = [one for one in sessions if one.id != session.id]
    return [one.introduction() for one in sorted(there, key=lambda one: (one.opened_at, one.id))]
