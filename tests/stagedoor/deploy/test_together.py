"""Many works at once: what waits for what, what stops what, and how late an end is noticed."""

import threading
import time

import pytest

from stagedoor.deploy.pace import Budget, Pace
from stagedoor.deploy.together import Work, ask, run_alone, run_together
from stagedoor.errors import Cancelled


def test_calls_of_different_works_are_made_at_the_same_time():
    meeting = threading.Barrier(5)

    def work() -> Work[None]:
        yield from ask(lambda: meeting.wait(10))

    waiting = {str(number): work() for number in range(5)}
    run_together(lambda: {name: waiting.pop(name) for name in list(waiting)})
    assert not meeting.broken


def test_what_a_call_raises_is_raised_in_its_work_alone():
    def fail() -> None:
        raise KeyError("x")

    def work() -> Work[str]:
        try:
            yield from ask(fail)
        except KeyError:
            return "caught"
        return "not raised"

    assert run_alone(work()) == "caught"


def test_what_stops_one_work_stops_all_when_the_calls_under_way_have_come_back():
    answered: list[str] = []

    def answer() -> None:
        time.sleep(0.2)
        answered.append("slow")

    def slow() -> Work[None]:
        yield from ask(answer)
        answered.append("gone on")

    def cancelled() -> Work[None]:
        yield 0.05
        raise Cancelled

    waiting = {"slow": slow(), "cancelled": cancelled()}
    with pytest.raises(Cancelled):
        run_together(lambda: {name: waiting.pop(name) for name in list(waiting)})
    assert answered == ["slow"]


@pytest.mark.parametrize("seconds", [3.0, 10.0, 60.0, 600.0])
def test_an_end_is_noticed_late_by_a_few_hundredths(seconds: float):
    pace = Pace(Budget(clock=lambda: 0.0, rate=1e9))
    looks = 1
    while pace.total < seconds:
        pace.next(news=False)
        looks += 1
    assert (pace.total - seconds) / seconds <= (0.075 if seconds < 4 else 0.05)
    assert looks < 400


def test_all_works_together_look_twenty_times_a_second_after_the_first_hundred():
    now = 0.0
    budget = Budget(clock=lambda: now)
    paces, ends = [Pace(budget) for _ in range(50)], [0.0] * 50
    count = 0
    while now < 20.0:
        first = ends.index(min(ends))
        now = ends[first]
        ends[first] = now + paces[first].next(news=False)
        count += 1
    assert 300 < count <= 550
