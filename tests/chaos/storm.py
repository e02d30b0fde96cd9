"""The developers, and a post office that doubles, delays, shuffles and loses what GitHub sends.

The developers change the local GitHub for real: what it says afterwards is the truth that each stage must end as. Their
webhooks are kept back (`deliver=False`) and then posted by the post office, signed as GitHub signs them.
"""

import heapq
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from demo.github.deliveries import Delivery
from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from tests.chaos import shop

_NEVER_LOST = frozenset({"opened", "reopened"})
"""A pull request that is not known to be open is not asked about by itself: see docs/guarantees.md."""


@dataclass
class Pull:
    """A pull request as its author left it: whether it is open, and the number that its newest commit deploys."""

    repository: LocalRepository
    branch: str
    number: int = 0
    open: bool = False
    deploys: int = 0

    @property
    def name(self) -> str:
        """What a failure calls it."""
        return f"{self.repository.full_name}#{self.number}"

    @property
    def stack(self) -> str:
        """How the name of its stage's stack begins."""
        return f"{self.repository.full_name.partition('/')[2]}-pr-{self.number}-"


@dataclass
class PostOffice:
    """Posts deliveries some time after they were handed in, in another order, a third of them twice, a few never."""

    github: LocalGitHub
    chance: random.Random
    longest_delay: float
    loses: float = 0.05
    posted: list[Delivery] = field(default_factory=list)
    doubled: int = 0
    lost: int = 0
    _due: list[tuple[float, int, Delivery]] = field(default_factory=list)
    _handed_in: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._post_when_due, name="post-office", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def collect(self) -> None:
        """Take what GitHub wrote since the last time, and decide its fate."""
        new = self.github.deliveries[self._handed_in :]
        self._handed_in += len(new)
        for delivery in new:
            if self.chance.random() < self.loses and delivery.payload.get("action") not in _NEVER_LOST:
                self.lost += 1
                continue
            copies = 2 if self.chance.random() < 1 / 3 else 1
            self.doubled += copies - 1
            with self._lock:
                for _ in range(copies):
                    due = time.monotonic() + self.chance.uniform(0, self.longest_delay)
                    heapq.heappush(self._due, (due, len(self._due) + self._handed_in * 1000, delivery))

    def flush(self) -> None:
        """Return when all is posted and answered."""
        while self._due:
            time.sleep(0.05)
        self.github.wait_for_deliveries()

    def _post_when_due(self) -> None:
        while not self._stop.wait(0.02):
            with self._lock:
                due = []
                while self._due and self._due[0][0] <= time.monotonic():
                    due.append(heapq.heappop(self._due)[2])
            for delivery in due:
                self.github.redeliver(delivery)
                self.posted.append(delivery)


class Developers:
    """They open, push to, close, reopen and label pull requests, by chance."""

    def __init__(self, github: LocalGitHub, post: PostOffice, pulls: list[Pull], chance: random.Random) -> None:
        self._github = github
        self._post = post
        self._chance = chance
        self._number = 0
        self.pulls = pulls

    def open_all(self) -> None:
        """Open each pull request with a first commit."""
        for pull in self.pulls:
            self._push(pull)
            pull.number = self._github.open_pull_request(pull.repository, head=pull.branch, deliver=False)
            pull.open = True
            self._post.collect()

    def storm(self, deliveries: int, seconds: float, others: Callable[[], float]) -> None:
        """Do things until GitHub has written so many deliveries, spread over the time.

        `others` tells how much of their work the killers have done, from 0 to 1; nobody gets far ahead of them, so that
        on a slow machine the storm lasts longer and is not less.
        """
        begun, already = time.monotonic(), len(self._github.deliveries)
        while (written := len(self._github.deliveries) - already) < deliveries:
            time.sleep(max(0.0, begun + seconds * written / deliveries - time.monotonic()))
            while written / deliveries > others() + 0.1:
                time.sleep(0.05)
            # In bursts: a branch that is pushed to faster than its app can be synthesized is never deployed.
            self._burst(self._chance.choice(self.pulls))

    def settle(self) -> None:
        """Leave each pull request open or closed, some of them with one more commit."""
        for index, pull in enumerate(self.pulls):
            if pull.open != (index % 3 != 0):
                self._toggle(pull)
            elif pull.open and index % 2:
                self._push(pull)
            self._post.collect()

    def close_all(self) -> None:
        """Close what is open."""
        for pull in self.pulls:
            if pull.open:
                self._toggle(pull)
                self._post.collect()

    def _burst(self, pull: Pull) -> None:
        for _ in range(self._chance.randint(3, 12)):
            self._act(pull)
        self._post.collect()

    def _act(self, pull: Pull) -> None:
        act = self._chance.random()
        if act < 0.25:
            self._toggle(pull)
        elif act < 0.35:
            self._github.label(pull.repository, pull.number, f"label-{self._chance.randrange(5)}", deliver=False)
        else:
            self._push(pull)

    def _push(self, pull: Pull) -> None:
        self._number += 1
        pull.deploys = self._number
        self._github.push(pull.repository, pull.branch, shop.template_file(self._number), deliver=False)

    def _toggle(self, pull: Pull) -> None:
        change = self._github.close if pull.open else self._github.reopen
        change(pull.repository, pull.number, deliver=False)
        pull.open = not pull.open
