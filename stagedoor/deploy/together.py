"""Many stacks at once, by one thread that decides and others that wait for AWS.

Work on a stack is a generator. It yields seconds when it wants to wait, and a call when it wants an answer of AWS: the
call is made in a thread of its own, and the work is taken up with its answer, or with what it raised. So no stack waits
for another's answer, and still nothing else runs at the same time: what is decided, told and written down needs no
lock, and what one work raises stops all of them between two calls.
"""

import heapq
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")

Work = Generator[float | Callable[[], Any], Any, _Answer]
"""Yields the seconds that it wants to wait, or a call that it wants to have made; returns what came of it."""

AT_ONCE = 16
"""Calls that are under way at the same time."""


def ask(call: Callable[[], _Answer]) -> Work[_Answer]:
    """Have a call made, and return its answer. Raises what the call raises."""
    answer: _Answer = yield call
    return answer


def run_together(start: Callable[[], Mapping[str, Work[None]]], *, clock: Callable[[], float] = time.monotonic) -> None:
    """Run works until none is left. `start` is asked after each step for works that may begin now, by name.

    What a work raises is raised here, when the calls that are under way have come back; an interruption that is no
    `Exception` (a second Ctrl-C) waits for nothing.
    """
    runner = _Runner(clock)
    try:
        while True:
            while begun := start():
                for work in begun.values():
                    runner.resume(work)
            if runner.idle:
                return
            runner.step()
    except Exception:
        runner.settle()
        raise


def run_alone(work: Work[_Answer]) -> _Answer:
    """Run one work to its end, when there is nothing else to do meanwhile."""
    answers: list[_Answer] = []

    def whole() -> Work[None]:
        answers.append((yield from work))

    waiting = {"alone": whole()}
    run_together(lambda: {name: waiting.pop(name) for name in list(waiting)})
    return answers[0]


@dataclass(slots=True)
class _Answered:
    """A call that came back: with an answer, or with what it raised."""

    work: Work[None]
    answer: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class _Runner:
    clock: Callable[[], float]
    pausing: list[tuple[float, int, Work[None]]] = field(default_factory=list)
    asking: deque[tuple[Work[None], Callable[[], Any]]] = field(default_factory=deque)
    answered: "queue.SimpleQueue[_Answered]" = field(default_factory=queue.SimpleQueue)
    calling: int = 0
    order: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def idle(self) -> bool:
        return not (self.pausing or self.asking or self.calling)

    def resume(self, work: Work[None], back: _Answered | None = None) -> None:
        """Go on with a work until it next wants something."""
        try:
            if back is None:
                wish = next(work)
            elif back.error is not None:
                wish = work.throw(back.error)
            else:
                wish = work.send(back.answer)
        except StopIteration:
            return
        if callable(wish):
            self.asking.append((work, wish))
            self._call()
        else:
            heapq.heappush(self.pausing, (self.clock() + wish, next(self.order), work))

    def step(self) -> None:
        """Wait until a call comes back or a pause is over, and go on with that work."""
        due = self.pausing[0][0] - self.clock() if self.pausing else None
        if due is not None and due <= 0:
            self.resume(heapq.heappop(self.pausing)[2])
            return
        if not self.calling:
            time.sleep(due or 0.0)
            return
        try:
            back = self.answered.get(timeout=due)
        except queue.Empty:
            return
        self.calling -= 1
        self._call()
        self.resume(back.work, back)

    def settle(self) -> None:
        """Wait until what is under way has come back; nobody takes it up any more."""
        while self.calling:
            self.answered.get()
            self.calling -= 1

    def _call(self) -> None:
        while self.asking and self.calling < AT_ONCE:
            work, call = self.asking.popleft()
            self.calling += 1
            # A thread of its own, since one of a pool would be waited for at the end of the process, too.
            threading.Thread(target=self._make, args=(work, call), daemon=True).start()

    def _make(self, work: Work[None], call: Callable[[], Any]) -> None:
        try:
            self.answered.put(_Answered(work, call()))
        except BaseException as error:  # handed to the work, whatever it is
            self.answered.put(_Answered(work, error=error))
