"""How often CloudFormation is looked at."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 5.0
_SETTLED_PAUSE = 0.1
_SHARED = 0.15


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


class Busy:
    """Which stacks CloudFormation is working on: one question for all that wait at the same time.

    `ask` returns their ARNs. An answer serves for a sixth of a second.
    """

    def __init__(self, ask: Callable[[], frozenset[str]], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._known: frozenset[str] = frozenset()
        self._until = 0.0

    def holds(self, arn: str) -> bool:
        """Whether CloudFormation is working on the stack. A stack that was just begun with may not be known yet."""
        with self._lock:
            if self._clock() >= self._until:
                self._known = self._ask()
                self._until = self._clock() + _SHARED
            return arn in self._known


@dataclass(slots=True)
class Pace:
    """How long to wait between looks: short at first and while much happens, up to five seconds when nothing does.

    The first look comes after a fiftieth of a second, and each of the next few half as late again: what is done in no
    time costs next to nothing.

    A pause is wished no longer than a thirtieth of the time for which nothing has happened, or a fiftieth of all: so
    what is waited for is noticed late by a few hundredths of the time that it took. The budget may put it off; `wish`
    is the last pause without that.
    """

    budget: Budget = field(default_factory=Budget)
    total: float = 0.0
    quiet: float = 0.0
    wish: float = FIRST_PAUSE

    def next(self, *, news: bool) -> float:
        """Return the seconds to wait before the next look. `news`: the last look showed something new."""
        if news:
            self.quiet = 0.0
        steady = max(_SETTLED_PAUSE, self.quiet / 30, self.total / 50)
        self.wish = min(FIRST_PAUSE + self.total / 2, steady, LONGEST_PAUSE)
        pause = self.budget.pause(self.wish)
        self.total += pause
        self.quiet += pause
        return pause
