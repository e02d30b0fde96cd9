"""The moments that matter most, hit every time: a worker that is frozen with a call prepared, and one that is killed.

The storm freezes and kills workers where it finds them. A worker that is overtaken while it is frozen, and let go,
changes nothing any more; the update of one that dies is joined by the next. What becomes of these tests when a
protection is taken away is in docs/guarantees.md. They share one place, each with a pull request of its own.
"""

import itertools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.models import App, Outcome, Repository, Run, Stage
from tests.chaos import shop
from tests.chaos.ending import behind, fence_of, live_numbers, until_nothing_is_behind
from tests.chaos.place import Place, parent_of, running_place
from tests.chaos.record import Call, Overtaken
from tests.chaos.storm import Developers, PostOffice, Pull
from tests.chaos.test_storm import app_at
from tests.postgres import DatabaseUrl, fresh_database

pytestmark = [pytest.mark.xdist_group("whole service"), pytest.mark.timeout(500)]

SETTLE_SECONDS = 150.0  # a bound, not a wait: beside whatever else the machine does
QUICK = (0.2, 0.4)
UPDATE_SECONDS = 6.0
"""How long an update takes that is to be joined: longer than a lease, so that the next one comes while it goes on."""

_numbers = itertools.count(1)


class Freezer:
    """Stops the holder of a preview with SIGSTOP when it asks AWS for `operation` on it, once AWS has done it."""

    def __init__(self, place: Place, pull: Pull) -> None:
        self._place = place
        self._pull = pull
        self.operation = ""
        self.frozen = 0

    def __enter__(self) -> Self:
        self._place.proxy.after_call = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._place.proxy.after_call = lambda call: None
        if parent_of(self.frozen):
            os.kill(self.frozen, signal.SIGKILL)

    def __call__(self, call: Call) -> None:
        if call.operation == self.operation and not self.frozen and call.stack.startswith(self._pull.stack):
            self.frozen = holder_of(self._place, self._pull)
            os.kill(self.frozen, signal.SIGSTOP)

    def until_frozen(self, operation: str) -> None:
        self.operation = operation
        until(lambda: self.frozen > 0, f"nobody asked for {operation}")

    def let_go(self) -> None:
        """Let the process go on, and return when its work has ended."""
        os.kill(self.frozen, signal.SIGCONT)
        until(lambda: parent_of(self.frozen) == 0, "the process that was let go does not end")


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: DatabaseUrl, postgres_template: str
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    with (
        fresh_database(postgres_server, postgres_template) as url,
        running_place(folder, url, random.Random(1), ready=QUICK) as running,
    ):
        running.start_group(processes=2)
        yield running


@pytest.fixture
def live(place: Place, tmp_path: Path) -> Iterator[tuple[Pull, PostOffice]]:
    """A pull request of a repository of this test's own, whose preview is live; at the end it is closed."""
    pull = Pull(place.github.create_repository(f"acme/app{next(_numbers)}", app_at(tmp_path)), "topic")
    with PostOffice(place.github, random.Random(1), longest_delay=0, loses=0) as post:
        developers = Developers(place.github, post, [pull], random.Random(1))
        developers.open_all()
        until_nothing_is_behind(lambda: behind(place, [pull]), SETTLE_SECONDS)
        yield pull, post
        developers.close_all()
        post.flush()


def test_a_change_set_that_a_frozen_worker_prepared_is_never_executed(place: Place, live: tuple[Pull, PostOffice]):
    pull, post = live
    with Freezer(place, pull) as freezer:
        push(place, pull, post, 2)
        freezer.until_frozen("CreateChangeSet")
        push(place, pull, post, 3)
        until_nothing_is_behind(lambda: behind(place, [pull]), SETTLE_SECONDS)
        freezer.let_go()
    until_nothing_is_behind(lambda: behind(place, [pull]), SETTLE_SECONDS)
    assert number_of(place, pull) == "3"
    assert overtaken(place) == []


@pytest.mark.parametrize("before", ["ListStackResources", "DescribeStackEvents"])
def test_a_deletion_that_a_frozen_worker_prepared_is_never_sent(
    place: Place, live: tuple[Pull, PostOffice], before: str
):
    """The first is asked before the step is written down, the second between that and the call."""
    pull, post = live
    (arn,) = arns(place, pull)
    with Freezer(place, pull) as freezer:
        place.github.close(pull.repository, pull.number, deliver=False)
        post.collect()
        freezer.until_frozen(before)
        place.github.reopen(pull.repository, pull.number, deliver=False)
        push(place, pull, post, 2)
        until_nothing_is_behind(lambda: behind(place, [pull]), SETTLE_SECONDS)
        freezer.let_go()
    until_nothing_is_behind(lambda: behind(place, [pull]), SETTLE_SECONDS)
    assert arns(place, pull) == [arn], "the preview was deleted and made anew"
    assert overtaken(place) == []


def test_the_update_of_a_killed_worker_is_joined_and_not_begun_again(
    place: Place, live: tuple[Pull, PostOffice], monkeypatch: pytest.MonkeyPatch
):
    pull, post = live
    monkeypatch.setattr(place.ready, "seconds", (UPDATE_SECONDS, UPDATE_SECONDS))
    push(place, pull, post, 77)
    executed = until_executed(place, pull, 2)
    os.kill(holder_of(place, pull), signal.SIGKILL)
    until_nothing_is_behind(lambda: behind(place, [pull]), SETTLE_SECONDS)

    with place.sessions() as session:
        runs = select(Run).where(Run.stage_id == stage_of(session, pull).id).order_by(Run.id)
        outcomes = [run.outcome for run in session.scalars(runs)]
    assert outcomes[:2] == [Outcome.SUCCEEDED, Outcome.LOST]
    assert set(outcomes[2:]) <= {Outcome.SUCCEEDED, Outcome.UNCHANGED}
    assert until_executed(place, pull, 2) == executed, "the update was begun a second time"
    assert number_of(place, pull) == "77"


def push(place: Place, pull: Pull, post: PostOffice, number: int) -> None:
    pull.deploys = number
    place.github.push(pull.repository, pull.branch, shop.template_file(number), deliver=False)
    post.collect()


def stage_of(session: Session, pull: Pull) -> Stage:
    stages = select(Stage).join(Stage.app).join(App.repository)
    return session.scalars(stages.where(Repository.full_name == pull.repository.full_name)).one()


def holder_of(place: Place, pull: Pull) -> int:
    """Return the process that holds the pull request's stage."""
    with place.sessions() as session:
        holder = stage_of(session, pull).holder
    assert holder
    return int(holder.split(":")[1])


def number_of(place: Place, pull: Pull) -> str:
    """Return the number that the preview holds."""
    (number,) = (number for stack, number in live_numbers(place).items() if stack.startswith(pull.stack))
    return number


def overtaken(place: Place) -> list[str]:
    calls = place.proxy.calls
    return [
        *(f"by generation: {found}" for found in Overtaken.among(calls, lambda call: call.generation)),
        *(f"by fence: {found}" for found in Overtaken.among(calls, fence_of(place))),
    ]


def arns(place: Place, pull: Pull) -> list[str]:
    stacks = place.client("cloudformation").describe_stacks()["Stacks"]
    return [stack["StackId"] for stack in stacks if stack["StackName"].startswith(pull.stack)]


def until_executed(place: Place, pull: Pull, count: int, seconds: float = SETTLE_SECONDS) -> list[str]:
    """Return the tokens of all updates of the preview that were begun, as soon as there are so many."""

    def tokens() -> list[str]:
        executed = (call for call in place.proxy.calls if call.operation == "ExecuteChangeSet" and call.acts)
        return [call.token for call in executed if call.stack.startswith(pull.stack)]

    until(lambda: len(tokens()) >= count, f"fewer than {count} updates were begun", seconds)
    return tokens()


def until(done: Callable[[], bool], otherwise: str, seconds: float = SETTLE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
