"""Which attempts the agent has, and what has become of them: each starts at most once. Pure; time is an argument.

The rules are docs/live.md's ("An attempt, at the agent").
"""

from dataclasses import dataclass, field
from enum import Enum, auto

from stagedoor.live.functions import Outcome

KEPT_SECONDS = 30.0
"""How long a result is kept after the relay has it whole, since the relay may die with it."""

KNOWN_SECONDS = 900.0
"""How long an attempt is known by its id after its result was forgotten: longer than a sandbox lives by one event."""


class Offer(Enum):
    """What an `INVOKE` of an attempt means to one who may have seen it before."""

    NEW = auto()
    """Never seen: take it."""
    RUNNING = auto()
    """It is here already; its result comes when it is done."""
    DONE = auto()
    """Its result is here."""
    FORGOTTEN = auto()
    """It ran, and its result is no longer here."""


@dataclass(slots=True)
class _Known:
    outcome: Outcome | None = None
    done_at: float = 0.0
    received_at: float | None = None

    def is_over(self, now: float) -> bool:
        """Whether nobody will ask for the result any more."""
        if self.outcome is None:
            return False
        if self.received_at is None:
            return now - self.done_at >= KNOWN_SECONDS
        return now - self.received_at >= KEPT_SECONDS


@dataclass(slots=True)
class Custody:
    """The attempts of one session. Seconds are of any clock that never goes back."""

    _known: dict[str, _Known] = field(default_factory=dict)
    _forgotten: dict[str, float] = field(default_factory=dict)

    def offered(self, attempt: str) -> Offer:
        """Return what is to be done with an attempt that the relay offers; changes nothing."""
        if attempt in self._forgotten:
            return Offer.FORGOTTEN
        known = self._known.get(attempt)
        if known is None:
            return Offer.NEW
        return Offer.RUNNING if known.outcome is None else Offer.DONE

    def take(self, attempt: str) -> bool:
        """Take an attempt whose event is here whole. False if it was taken before: then it must not be started."""
        if self.offered(attempt) is not Offer.NEW:
            return False
        self._known[attempt] = _Known()
        return True

    def done(self, attempt: str, outcome: Outcome, now: float) -> None:
        """Keep what became of an attempt. The first outcome stands."""
        known = self._known.get(attempt)
        if known is not None and known.outcome is None:
            known.outcome, known.done_at = outcome, now

    def outcome(self, attempt: str) -> Outcome | None:
        """Return what became of an attempt, if that is here."""
        known = self._known.get(attempt)
        return known.outcome if known else None

    def received(self, attempt: str, now: float) -> None:
        """The relay has the whole result."""
        known = self._known.get(attempt)
        if known is not None and known.outcome is not None:
            known.received_at = now

    def given_up(self, attempt: str, now: float) -> None:
        """An attempt will never run, and nobody waits for it."""
        if self._known.pop(attempt, None) is not None:
            self._forgotten[attempt] = now

    def known(self) -> dict[str, str]:
        """Return each attempt that is here, `running` or `done`: what a new connection begins with."""
        return {attempt: "running" if known.outcome is None else "done" for attempt, known in self._known.items()}

    def unfinished(self) -> list[str]:
        """Return the attempts that have no outcome yet."""
        return [attempt for attempt, known in self._known.items() if known.outcome is None]

    def forget(self, now: float) -> None:
        """Let go of results and ids whose time is over."""
        for attempt, known in list(self._known.items()):
            if known.is_over(now):
                del self._known[attempt]
                self._forgotten[attempt] = now
        for attempt, since in list(self._forgotten.items()):
            if now - since < KNOWN_SECONDS:
                break  # they are in the order in which they were forgotten
            del self._forgotten[attempt]
