"""One holder a stage: leases, heartbeats and fences.

The fence is a number that goes up with each lease. Whoever writes on a stage's behalf does so in a transaction that
first locks the stage's row and compares fences, so a process that was frozen past its lease and let go again can write
nothing. It could still call AWS; for that there is `Lease.check`, which knows by a clock that also runs while the
machine sleeps that the lease may be over, and is asked immediately before each changing call is sent.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Protocol
from uuid import uuid4

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.database import Sessions, now
from service.models import PlanRow, Stage
from stagedoor.errors import LeaseLost

log = structlog.get_logger(__name__)

# A request that is sent this shortly before the lease ends could reach AWS after it.
MARGIN_SECONDS = 1.0


def elapsed() -> float:
    """Return seconds by a clock that never goes back and runs on while the machine or the process sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def holder_name() -> str:
    """Return a name for this process that no other process has, ever."""
    return f"{_machine()}:{os.getpid()}:{uuid4().hex[:12]}"


def hand_on(sessions: Sessions, pid: int) -> int:
    """Give back what a process of this machine held that is no more; return how many stages and plans. It must have
    been waited for: what it still held then is free for the next holder at once, which joins what CloudFormation is
    doing.
    """
    given = 0
    with sessions.begin() as session:
        for table in (Stage, PlanRow):
            held = table.holder.startswith(f"{_machine()}:{pid}:", autoescape=True)
            freed = update(table).where(held).values(holder=None, lease_until=None).returning(table.id)
            given += len(session.execute(freed).all())
    return given


def _machine() -> str:
    return socket.gethostname()[:60]


@dataclass(slots=True)
class Lease:
    """The right to act on one stage until `_ends` (see `elapsed`), as long as nobody has a higher fence."""

    sessions: Sessions
    stage_id: int
    holder: str
    fence: int
    seconds: float
    _ends: float
    _lost: bool = field(default=False)

    @property
    def name(self) -> str:
        """What it is on, for the log."""
        return f"stage {self.stage_id}"

    def check(self) -> None:
        """Raise `LeaseLost` when the lease is over or soon will be. Asks only the clock, so it costs nothing."""
        if self._lost or elapsed() > self._ends - MARGIN_SECONDS:
            raise LeaseLost(f"stage {self.stage_id}: the lease with fence {self.fence} is over")

    def renew(self) -> None:
        """Prolong the lease; raise `LeaseLost` when somebody else has taken the stage."""
        asked = elapsed()
        with self.sessions.begin() as session:
            prolonged = session.execute(
                update(Stage)
                .where(Stage.id == self.stage_id, Stage.fence == self.fence, Stage.holder == self.holder)
                .values(lease_until=now(session) + timedelta(seconds=self.seconds))
                .returning(Stage.id)
            ).scalar_one_or_none()
        if prolonged is None:
            self._lost = True
            raise LeaseLost(f"stage {self.stage_id}: fence {self.fence} has been passed")
        self._ends = asked + self.seconds

    def release(self) -> None:
        """Give the stage back, if it is still ours."""
        self._lost = True
        with self.sessions.begin() as session:
            session.execute(
                update(Stage)
                .where(Stage.id == self.stage_id, Stage.fence == self.fence, Stage.holder == self.holder)
                .values(holder=None, lease_until=None)
            )

    @contextmanager
    def fenced(self) -> Iterator[tuple[Session, Stage]]:
        """Open a transaction in which the stage's row is locked and ours; raise `LeaseLost` when it is not."""
        with self.sessions.begin() as session:
            stage = session.scalars(select(Stage).where(Stage.id == self.stage_id).with_for_update()).one()
            if stage.fence != self.fence or stage.holder != self.holder:
                self._lost = True
                raise LeaseLost(f"stage {self.stage_id}: fence {self.fence} has been passed by {stage.fence}")
            yield session, stage


def acquire(sessions: Sessions, stage_id: int, holder: str, seconds: float) -> Lease | None:
    """Take the stage if nobody holds it or its holder's lease is over, else return None. Times are the database's."""
    asked = elapsed()
    with sessions.begin() as session:
        moment = now(session)
        fence = session.execute(
            update(Stage)
            .where(Stage.id == stage_id, or_(Stage.holder.is_(None), Stage.lease_until < moment))
            .values(
                holder=holder,
                lease_until=moment + timedelta(seconds=seconds),
                fence=Stage.fence + 1,
                rung_at=None,  # answered: should this holder die, it is rung for as soon as the lease is over
            )
            .returning(Stage.fence)
        ).scalar_one_or_none()
    return None if fence is None else Lease(sessions, stage_id, holder, fence, seconds, asked + seconds)


class Renewable(Protocol):
    """What a heartbeat keeps alive."""

    @property
    def name(self) -> str:
        """What it is on, for the log."""

    def renew(self) -> None:
        """Prolong it; raise `LeaseLost` when somebody else has it."""


class Heartbeat:
    """Renews a lease from a thread of its own until it is left, lost, or the process dies."""

    def __init__(self, lease: Renewable, every: float) -> None:
        self._lease = lease
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of {lease.name}", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self._lease.renew()
            except LeaseLost:
                log.warning("lease lost", of=self._lease.name)
                return
            except Exception:
                # The database is out of reach: the lease runs on until its end, then `check` says so.
                log.warning("heartbeat failed", of=self._lease.name, exc_info=True)
