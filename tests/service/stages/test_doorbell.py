"""The ringer rings for what is behind and nobody holds, and a lost queue costs time only."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from service.blobs import FolderBlobs
from service.database import now
from service.models import Source, SourceKind, Stage
from service.parts import Parts
from service.settings import Settings
from service.stages.doorbell import PLAN, RECONCILE, RESOLVE, Ring, Ringer, queue_on
from service.stages.lease import acquire
from service.stages.plans import request_plan
from service.worker.queue_server import embedded_queue
from tests.service.rows import add_repository, add_source, add_stage


@pytest.fixture(scope="module")
def queue_url(tmp_path_factory):
    with embedded_queue(tmp_path_factory.mktemp("queue")) as url:
        yield url


@pytest.fixture
def parts(database, tmp_path):
    return Parts(Settings(data_dir=tmp_path), database.kw["bind"], database, FolderBlobs(tmp_path))


@pytest.fixture
def ringer(parts, queue_url):
    queue = queue_on(queue_url)
    queue.connection.flushall()
    return Ringer(parts, queue)


@pytest.fixture
def stage_id(database):
    with database.begin() as session:
        stage = add_stage(session)
        stage.wanted_generation = 1
        return stage.id


def change(database, stage_id, **values):
    with database.begin() as session:
        for name, value in values.items():
            setattr(session.get_one(Stage, stage_id), name, value)


def test_a_stage_that_is_behind_is_rung_for_once(ringer, stage_id):
    assert ringer.look() == [Ring(RECONCILE, stage_id)]
    assert ringer.look() == []
    assert ringer._queue.count == 1


def test_a_newer_wish_is_rung_for_at_once(ringer, stage_id, database):
    ringer.look()
    change(database, stage_id, wanted_generation=2)
    assert ringer.look() == [Ring(RECONCILE, stage_id)]


def test_a_source_that_is_behind_is_rung_for(ringer, database):
    with database.begin() as session:
        source_id = add_source(session, add_repository(session)).id
    assert ringer.look() == [Ring(RESOLVE, source_id)]


def test_a_plan_that_somebody_asked_for_is_rung_for_once(ringer, stage_id, database):
    change(database, stage_id, done_generation=1)
    with database.begin() as session:
        plan, _ = request_plan(session, session.get_one(Stage, stage_id), commit="c" * 40, actor="mona")
    assert ringer.look() == [Ring(PLAN, plan.id)]
    assert ringer.look() == []
    assert ringer._queue.jobs[0].func_name == PLAN


def test_what_is_held_done_or_put_off_is_not_rung_for(ringer, stage_id, database):
    lease = acquire(database, stage_id, "somebody", 30)
    assert ringer.look() == []
    lease.release()
    with database() as session:
        later = now(session) + timedelta(seconds=60)
    change(database, stage_id, not_before=later)
    assert ringer.look() == []
    change(database, stage_id, not_before=None, done_generation=1)
    assert ringer.look() == []


def test_a_holder_that_died_is_rung_after(ringer, stage_id, database):
    acquire(database, stage_id, "dead", 30)
    with database() as session:
        past = now(session) - timedelta(seconds=1)
    change(database, stage_id, lease_until=past)
    assert ringer.look() == [Ring(RECONCILE, stage_id)]


def test_a_holder_that_died_before_it_told_github_is_rung_after_though_nothing_is_behind(ringer, stage_id, database):
    acquire(database, stage_id, "dead", 30)
    with database() as session:
        past = now(session) - timedelta(seconds=1)
    change(database, stage_id, lease_until=past, done_generation=1)
    assert ringer.look() == [Ring(RECONCILE, stage_id)]


def test_a_source_whose_ring_waits_is_not_rung_for_again_when_more_is_heard_of_it(ringer, database):
    with database.begin() as session:
        source_id = add_source(session, add_repository(session)).id
    ringer.look()
    raise_generation(database, source_id)
    assert ringer.look() == []
    with database.begin() as session:
        session.get_one(Source, source_id).done_generation = 1
    assert ringer.look() == [Ring(RESOLVE, source_id)]


def raise_generation(database, source_id):
    with database.begin() as session:
        session.get_one(Source, source_id).generation += 1


def test_a_holder_that_answered_a_ring_and_died_is_rung_after_at_once_even_in_a_busy_queue(ringer, stage_id, database):
    ringer.look()
    acquire(database, stage_id, "dead", 0)
    assert ringer._queue.count == 1
    assert ringer.look() == [Ring(RECONCILE, stage_id)]


def test_a_ring_that_was_lost_is_repeated_when_the_queue_is_idle(ringer, stage_id, database):
    ringer.look()
    ringer._queue.connection.flushall()
    assert ringer.look() == []
    with database() as session:
        past = now(session) - timedelta(seconds=6)
    change(database, stage_id, rung_at=past)
    assert ringer.look() == [Ring(RECONCILE, stage_id)]


def test_a_ring_that_waits_in_a_busy_queue_is_not_repeated_soon(ringer, stage_id, database):
    ringer.look()
    with database() as session:
        past = now(session) - timedelta(seconds=6)
    change(database, stage_id, rung_at=past)
    assert ringer.look() == []


def test_an_open_pull_request_that_nobody_spoke_of_for_long_is_read_again(ringer, database):
    with database.begin() as session:
        source = add_source(session, add_repository(session))
        source.done_generation = source.generation
        source_id = source.id
    assert ringer.verify() == 1
    with database() as session:
        assert session.get_one(Source, source_id).generation == 2


def test_a_branch_without_a_stage_is_not_read_again_and_again(ringer, stage_id, database):
    with database.begin() as session:
        stage = session.get_one(Stage, stage_id)
        branches = [add_source(session, stage.app.repository, number) for number in (1, 2)]
        for branch in branches:
            branch.kind, branch.done_generation = SourceKind.BRANCH, branch.generation
        stage.source_id = with_stage = branches[1].id
    assert ringer.verify() == 1
    with database() as session:
        assert session.get_one(Source, with_stage).generation == 2


def test_reading_again_waits_for_no_row_that_a_webhook_holds(postgres, tmp_path, queue_url):
    with postgres.begin() as session:
        sources = [add_source(session, add_repository(session, f"acme/{n}", n)) for n in (1, 2)]
        for source in sources:
            source.done_generation = source.generation
        held = sources[0].id
    parts = Parts(Settings(data_dir=tmp_path), postgres.kw["bind"], postgres, FolderBlobs(tmp_path))
    with postgres.begin() as webhook:
        webhook.get_one(Source, held, with_for_update=True)
        assert Ringer(parts, queue_on(queue_url)).verify() == 1


def test_a_queue_that_a_killed_service_left_is_ended_by_the_next(tmp_path: Path):
    program = (
        "import sys, pathlib, time; from service.worker.queue_server import embedded_queue\n"
        "with embedded_queue(pathlib.Path(sys.argv[1])): print('up', flush=True); time.sleep(60)"
    )
    service = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert service.stdout.readline() == b"up\n"
    left = int((tmp_path / "valkey.pid").read_text())
    service.kill()
    service.wait()
    os.kill(left, 0)  # it lives on
    with embedded_queue(tmp_path) as url:
        assert queue_on(url).connection.ping()
        assert not Path(f"/proc/{left}/exe").exists()  # gone, or a zombie that nobody has reaped yet
