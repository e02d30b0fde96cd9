"""What no webhook told is found all the same."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from service.blobs import FolderBlobs
from service.models import Installation, Repository, Source
from service.parts import Parts
from service.settings import Settings
from service.stages.doorbell import Ringer, queue_on
from service.stages.unheard import find_unheard
from service.worker.queue_server import embedded_queue
from tests.service.rows import add_repository
from tests.service.stages import tiny_app


def find(house):
    return find_unheard(house.parts.sessions, house.clients, house.repository_id)


def opened_unheard(house):
    house.github.push(house.repository, "topic", tiny_app.files("one"))
    return house.github.open_pull_request(house.repository, head="topic", base="main", title="A change")


def sources(house):
    with house.parts.sessions() as session:
        return list(session.scalars(select(Source).order_by(Source.id)))


def test_a_pull_request_whose_opening_nobody_heard_gets_its_stage(house):
    number = opened_unheard(house)
    assert find(house) == 1
    (source,) = sources(house)
    assert source.ref == str(number)
    house.resolve(source.id)
    assert house.intents(source.id) == [("commit", "opened")]
    assert find(house) == 0


def test_a_reopening_that_nobody_heard_is_found(house):
    source = house.pull_request()
    house.github.close(house.repository, house.number(source))
    house.resolve(source)
    assert find(house) == 0
    house.github.reopen(house.repository, house.number(source))
    assert find(house) == 1
    house.resolve(source)
    assert house.source(source).open


def test_what_was_open_before_the_app_was_installed_is_left_alone(house):
    opened_unheard(house)
    with house.parts.sessions.begin() as session:
        session.get_one(Repository, house.repository_id).created_at = datetime.now(UTC) + timedelta(hours=1)
    assert find(house) == 0
    assert sources(house) == []


@pytest.mark.parametrize("closed", ["suspended_at", "removed_at"])
def test_a_door_that_a_webhook_closed_and_none_opened(house, closed):
    source = house.pull_request()
    house.resolve(source)
    generation = house.source(source).generation
    with house.parts.sessions.begin() as session:
        repository = session.get_one(Repository, house.repository_id)
        setattr(repository.installation, closed, datetime.now(UTC) - timedelta(minutes=1))
    find(house)
    with house.parts.sessions() as session:
        assert getattr(session.scalars(select(Installation)).one(), closed) is None
    assert house.source(source).generation == generation + 1


def test_an_app_that_is_not_there_finds_nothing_and_opens_no_door(house):
    with house.parts.sessions.begin() as session:
        session.get_one(Repository, house.repository_id).removed_at = datetime.now(UTC) - timedelta(minutes=1)
    with house.github.installation("removed"):
        assert find(house) == 0
    with house.parts.sessions() as session:
        assert session.get_one(Repository, house.repository_id).removed_at is not None


def test_each_repository_is_searched_now_and_then(database, tmp_path):
    parts = Parts(Settings(data_dir=tmp_path), database.kw["bind"], database, FolderBlobs(tmp_path))
    with database.begin() as session:
        for number in (1, 2):
            add_repository(session, f"acme/{number}", number)
    with embedded_queue(tmp_path) as url:
        ringer = Ringer(parts, queue_on(url))
        assert ringer.search() == 2
        assert ringer.search() == 0
        assert sorted(job.args[0] for job in queue_on(url).jobs) == [1, 2]
