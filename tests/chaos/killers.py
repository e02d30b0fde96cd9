"""Those who kill and freeze the service's processes, and the queue, while it works."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from sqlalchemy import select

from service.database import now
from service.models import Run, RunStep, Stage
from tests.chaos.place import LEASE_SECONDS, Place, parent_of

_FROZEN_AT_MOST = 10.0 * LEASE_SECONDS
_PATIENCE = 15.0
"""How long a killer waits for somebody whom he can kill: on a slow machine workers take their time to start."""

PLAN = {
    "kill a holder": 5,
    "kill a worker": 2,
    "kill a group": 1,
    "freeze a holder": 5,
    "kill the queue": 1,
    "empty the queue": 1,
}
"""What is done how often in one storm."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A work-horse that holds a stage, by the stage's row. `run` is its run that had not ended, if there was one."""

    pid: int
    stage_id: int
    fence: int
    run: int | None
    in_the_middle: bool


@dataclass
class Killers:
    """Carry out `PLAN` in an order by chance, spread over `seconds`.

    `killed` are the runs whose process got SIGKILL and that had no outcome afterwards; `overtaken` counts the frozen
    holders that were let go after another had taken their stage; `done` counts all deeds. `progress` goes from 0 to 1.
    """

    place: Place
    chance: random.Random
    seconds: float
    killed: set[int] = field(default_factory=set)
    overtaken: int = 0
    done: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _frozen: set[int] = field(default_factory=set)
    progress: float = 0.0

    def __enter__(self) -> Self:
        self._begin(self._carry_out)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait(self) -> None:
        """Return when all is done and everything frozen was let go."""
        while any(thread.is_alive() for thread in self._threads):
            time.sleep(0.05)

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name=work.__name__, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _carry_out(self) -> None:
        deeds = [deed for deed, times in PLAN.items() for _ in range(times)]
        self.chance.shuffle(deeds)
        begun = time.monotonic()
        for number, deed in enumerate(deeds):
            if self._stop.wait(max(0.0, begun + self.seconds * number / len(deeds) - time.monotonic())):
                return
            self._do(deed)
            self.progress = (number + 1) / len(deeds)
        self.progress = 1.0

    def _do(self, deed: str) -> None:
        match deed:
            case "kill a holder":
                holder = self._await_holder()
                done = holder is not None and self._kill_holder(holder)
            case "freeze a holder":
                holder = self._await_holder()
                done = holder is not None and self._freeze(holder)
            case "kill a worker":
                done = self._kill_worker()
            case "kill a group":
                done = self._kill_group()
            case "kill the queue":
                self.place.queue.kill()
                time.sleep(0.5)
                self.place.queue.start()
                done = True
            case _:
                self.place.queue.empty()
                done = True
        self.done[deed] += done

    def _await_holder(self) -> Holder | None:
        """Return a holder, if there is one soon; mostly one that is in the middle of changing a stack."""
        picky = self.chance.random() < 0.7
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and not self._stop.is_set():
            found = [holder for holder in self._holders() if holder.pid not in self._frozen]
            middle = [holder for holder in found if holder.in_the_middle]
            if middle or (found and not picky):
                return self.chance.choice(middle or found)
            time.sleep(0.05)
        return None

    def _holders(self) -> list[Holder]:
        workers = set(self.place.workers())
        with self.place.sessions() as session:
            rows = session.execute(
                select(Stage.id, Stage.fence, Stage.holder, Run.id, RunStep.id)
                .outerjoin(Run, (Run.stage_id == Stage.id) & (Run.fence == Stage.fence) & Run.outcome.is_(None))
                .outerjoin(RunStep, (RunStep.run_id == Run.id) & RunStep.outcome.is_(None))
                .where(Stage.holder.is_not(None), Stage.lease_until > now(session))
            ).all()
        holders = (
            Holder(int(holder.split(":")[1]), stage, fence, run, step is not None)
            for stage, fence, holder, run, step in rows
            if holder
        )
        return [holder for holder in holders if holder.pid in workers]

    def _kill_holder(self, holder: Holder) -> bool:
        if not _send(holder.pid, signal.SIGKILL):
            return False
        self._note_lost(holder)
        return True

    def _note_lost(self, holder: Holder) -> None:
        """Remember the run of a killed holder, unless its end was already on its way to the database."""
        time.sleep(0.1)
        with self.place.sessions() as session:
            if holder.run is not None and session.get_one(Run, holder.run).outcome is None:
                self.killed.add(holder.run)

    def _freeze(self, holder: Holder) -> bool:
        if not _send(holder.pid, signal.SIGSTOP):
            return False
        self._frozen.add(holder.pid)
        self._begin(self._let_go_when_overtaken, holder)
        return True

    def _let_go_when_overtaken(self, holder: Holder) -> None:
        deadline = time.monotonic() + _FROZEN_AT_MOST
        overtaken = False
        try:
            while not overtaken and time.monotonic() < deadline:
                time.sleep(0.1)
                with self.place.sessions() as session:
                    overtaken = session.get_one(Stage, holder.stage_id).fence > holder.fence
            # Sometimes at once, sometimes when the successor has got far.
            time.sleep(self.chance.uniform(0.0, 3.0))
        finally:
            self._frozen.discard(holder.pid)
            alive = _send(holder.pid, signal.SIGCONT)
        self.overtaken += overtaken and alive

    def _kill_worker(self) -> bool:
        """Kill an RQ worker and leave its work-horse, if it has one, an orphan that goes on."""
        living = self.place.workers()
        parents = [pid for pid in living if parent_of(pid) not in living]
        return bool(parents) and _send(self.chance.choice(parents), signal.SIGKILL)

    def _kill_group(self) -> bool:
        """Kill a `stagedoor worker`, then the workers that it leaves, and start another."""
        living = [group for group in self.place.groups if group.poll() is None]
        group = self.chance.choice(living)
        below = [pid for pid in self.place.workers() if parent_of(pid) == group.pid]
        group.kill()
        group.wait()
        for pid in below:
            _send(pid, signal.SIGKILL)
        self.place.start_group()
        return True


def _send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; return whether the process was still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
