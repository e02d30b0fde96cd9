"""A worker that dies in the middle of an update is joined by the next one, through the whole service."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from service.models import Outcome, Run, Stage
from tests.chaos import shop
from tests.chaos.ending import behind, live_numbers, until_nothing_is_behind
from tests.chaos.place import Place, running_place
from tests.chaos.storm import Developers, PostOffice, Pull
from tests.chaos.test_storm import app_at

pytestmark = [pytest.mark.xdist_group("whole service"), pytest.mark.timeout(200)]

UPDATE_SECONDS = 6.0
"""How long an update takes: longer than a lease, so that the next one comes while it is still going on."""


@pytest.fixture
def place(tmp_path: Path, postgres_url: str) -> Iterator[Place]:
    with running_place(tmp_path, postgres_url, random.Random(1), ready=(UPDATE_SECONDS, UPDATE_SECONDS)) as running:
        yield running


def test_the_update_of_a_killed_worker_is_joined_and_not_begun_again(place: Place, tmp_path: Path):
    place.start_group(processes=2)
    pull = Pull(place.github.create_repository("acme/one", app_at(tmp_path)), "topic")
    with PostOffice(place.github, random.Random(1), longest_delay=0, loses=0) as post:
        Developers(place.github, post, [pull], random.Random(1)).open_all()
        until_nothing_is_behind(lambda: behind(place, [pull]), 60)

        pull.deploys = 77
        place.github.push(pull.repository, pull.branch, shop.template_file(77), deliver=False)
        post.collect()
        executed = until_executed(place, 2)
        with place.sessions() as session:
            holder = session.scalars(select(Stage.holder)).one()
        assert holder
        os.kill(int(holder.split(":")[1]), signal.SIGKILL)
        until_nothing_is_behind(lambda: behind(place, [pull]), 60)

    with place.sessions() as session:
        outcomes = [run.outcome for run in session.scalars(select(Run).order_by(Run.id))]
    assert outcomes[:2] == [Outcome.SUCCEEDED, Outcome.LOST]
    assert set(outcomes[2:]) <= {Outcome.SUCCEEDED, Outcome.UNCHANGED}
    assert until_executed(place, 2) == executed, "the update was begun a second time"
    assert list(live_numbers(place).values()) == ["77"]


def until_executed(place: Place, count: int, seconds: float = 60) -> list[str]:
    """Return the tokens of all updates that were begun, as soon as there are so many."""
    deadline = time.monotonic() + seconds
    while True:
        tokens = [call.token for call in place.proxy.calls if call.operation == "ExecuteChangeSet" and call.acts]
        if len(tokens) >= count:
            return tokens
        assert time.monotonic() < deadline, f"{len(tokens)} of {count} updates were begun"
        time.sleep(0.02)
