"""How often CloudFormation is looked at."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
_SETTLED_PAUSE = 0.2


@dataclass(slots=True)
class Budget:
    """How many looks all works on one account and region have together: as many as wanted at first, then `rate` a
    second. CloudFormation's limits are an account's, and AWS does not say what they are.
    """

    rate: float = 20.0
    advance: float = 5.0
    clock: Callable[[], float] = time.monotonic
    _reserved: float = 0.0

    def pause(self, wanted: float) -> float:
        """Return how long to wait before a look that is wanted in so many seconds."""
        now = self.clock()
        self._reserved = max(self._reserved, now + wanted - self.advance) + 1 / self.rate
        return max(wanted, self._reserved - now)


@dataclass(slots=True)
class Pace:
    """How long to wait between looks: short at first and while much happens, up to five seconds when nothing does.

    A pause is never longer than a twentieth of the time for which nothing has happened, or a fiftieth of all: so what
    is waited for is noticed late by a few hundredths of the time that it took.
    """

    budget: Budget = field(default_factory=Budget)
    total: float = 0.0
    quiet: float = 0.0

    def next(self, *, news: bool) -> float:
        """Return the seconds to wait before the next look. `news`: the last look showed something new."""
        if news:
            self.quiet = 0.0
        steady = max(_SETTLED_PAUSE, self.quiet / 20, self.total / 50)
        pause = self.budget.pause(min(FIRST_PAUSE + self.total, steady, LONGEST_PAUSE))
        self.total += pause
        self.quiet += pause
        return pause
