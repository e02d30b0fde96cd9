"""A worker that is frozen with a call prepared, overtaken, and let go, changes nothing any more.

The storm freezes workers where it finds them; here they are frozen in the one moment that matters. What becomes of
these tests when a protection is taken away is in docs/guarantees.md.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from service.models import Stage
from tests.chaos import shop
from tests.chaos.ending import behind, fence_of, live_numbers, until_nothing_is_behind
from tests.chaos.place import Place, parent_of, running_place
from tests.chaos.record import Call, Overtaken
from tests.chaos.storm import Developers, PostOffice, Pull
from tests.chaos.test_storm import app_at

pytestmark = [pytest.mark.xdist_group("whole service"), pytest.mark.timeout(200)]


class Freezer:
    """Stops the holder of the only stage with SIGSTOP when it asks AWS for `operation`, once AWS has done it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.operation = ""
        self.frozen = 0

    def __call__(self, call: Call) -> None:
        if call.operation == self.operation and not self.frozen:
            with self._place.sessions() as session:
                holder = session.scalars(select(Stage.holder)).one()
            assert holder
            self.frozen = int(holder.split(":")[1])
            os.kill(self.frozen, signal.SIGSTOP)

    def until_frozen(self, operation: str) -> None:
        self.operation = operation
        until(lambda: self.frozen > 0, f"nobody asked for {operation}")

    def let_go(self) -> None:
        """Let the process go on, and return when its work has ended."""
        os.kill(self.frozen, signal.SIGCONT)
        until(lambda: parent_of(self.frozen) == 0, "the process that was let go does not end")


@pytest.fixture
def place(tmp_path: Path, postgres_url: str) -> Iterator[Place]:
    with running_place(tmp_path, postgres_url, random.Random(1), ready=(0.2, 0.4)) as running:
        yield running


@pytest.fixture
def live(place: Place, tmp_path: Path) -> Iterator[tuple[Pull, PostOffice]]:
    """A pull request whose preview is live."""
    place.start_group(processes=2)
    pull = Pull(place.github.create_repository("acme/one", app_at(tmp_path)), "topic")
    with PostOffice(place.github, random.Random(1), longest_delay=0, loses=0) as post:
        Developers(place.github, post, [pull], random.Random(1)).open_all()
        until_nothing_is_behind(lambda: behind(place, [pull]), 60)
        yield pull, post


def test_a_change_set_that_a_frozen_worker_prepared_is_never_executed(place: Place, live: tuple[Pull, PostOffice]):
    pull, post = live
    place.proxy.after_call = freezer = Freezer(place)
    push(place, pull, post, 2)
    freezer.until_frozen("CreateChangeSet")
    push(place, pull, post, 3)
    until_nothing_is_behind(lambda: behind(place, [pull]), 60)
    freezer.let_go()
    until_nothing_is_behind(lambda: behind(place, [pull]), 60)
    assert list(live_numbers(place).values()) == ["3"]
    assert overtaken(place) == []


@pytest.mark.parametrize("before", ["ListStackResources", "DescribeStackEvents"])
def test_a_deletion_that_a_frozen_worker_prepared_is_never_sent(
    place: Place, live: tuple[Pull, PostOffice], before: str
):
    """The first is asked before the step is written down, the second between that and the call."""
    pull, post = live
    (arn,) = arns(place)
    place.proxy.after_call = freezer = Freezer(place)
    place.github.close(pull.repository, pull.number, deliver=False)
    post.collect()
    freezer.until_frozen(before)
    place.github.reopen(pull.repository, pull.number, deliver=False)
    push(place, pull, post, 2)
    until_nothing_is_behind(lambda: behind(place, [pull]), 60)
    freezer.let_go()
    until_nothing_is_behind(lambda: behind(place, [pull]), 60)
    assert arns(place) == [arn], "the preview was deleted and made anew"
    assert overtaken(place) == []


def push(place: Place, pull: Pull, post: PostOffice, number: int) -> None:
    pull.deploys = number
    place.github.push(pull.repository, pull.branch, shop.template_file(number), deliver=False)
    post.collect()


def overtaken(place: Place) -> list[str]:
    calls = place.proxy.calls
    return [
        *(f"by generation: {found}" for found in Overtaken.among(calls, lambda call: call.generation)),
        *(f"by fence: {found}" for found in Overtaken.among(calls, fence_of(place))),
    ]


def arns(place: Place) -> list[str]:
    cloudformation = place.session.client("cloudformation", endpoint_url=place.aws.endpoint)
    return [stack["StackId"] for stack in cloudformation.describe_stacks()["Stacks"]]


def until(done: Callable[[], bool], otherwise: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
