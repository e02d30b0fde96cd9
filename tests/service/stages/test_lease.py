"""One holder a stage, on SQLite and on PostgreSQL, with many processes and with frozen ones."""

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import DBAPIError

from service import database as database_module
from service.database import make_engine, make_sessions, now
from service.models import Stage
from service.stages import lease as lease_module
from service.stages.lease import Heartbeat, acquire
from stagedoor.errors import LeaseLost
from tests.service.rows import add_stage


@pytest.fixture
def stage_id(database):
    with database.begin() as session:
        return add_stage(session).id


def expire(database, stage_id):
    with database.begin() as session:
        session.execute(update(Stage).values(lease_until=now(session) - timedelta(seconds=1)))


def test_a_held_stage_is_not_given_to_another(database, stage_id):
    assert acquire(database, stage_id, "one", 30) is not None
    assert acquire(database, stage_id, "two", 30) is None


def test_a_released_stage_is_free_and_its_fence_is_higher(database, stage_id):
    first = acquire(database, stage_id, "one", 30)
    first.release()
    second = acquire(database, stage_id, "two", 30)
    assert second.fence == first.fence + 1


def test_an_expired_lease_is_taken_over_and_its_holder_may_write_nothing(database, stage_id):
    frozen = acquire(database, stage_id, "frozen", 30)
    expire(database, stage_id)
    assert acquire(database, stage_id, "next", 30) is not None
    with pytest.raises(LeaseLost), frozen.fenced():
        pytest.fail("a frozen holder entered a fenced transaction")
    with pytest.raises(LeaseLost):
        frozen.renew()
    with pytest.raises(LeaseLost):
        frozen.check()


def test_release_by_a_former_holder_leaves_the_next_one_alone(database, stage_id):
    frozen = acquire(database, stage_id, "frozen", 30)
    expire(database, stage_id)
    following = acquire(database, stage_id, "next", 30)
    frozen.release()
    following.renew()
    assert acquire(database, stage_id, "third", 30) is None


def test_check_knows_by_the_clock_that_the_lease_is_over(database, stage_id, monkeypatch):
    held = acquire(database, stage_id, "one", 30)
    held.check()
    later = lease_module.elapsed() + 29.5  # within the margin: the call might reach AWS too late
    monkeypatch.setattr(lease_module, "elapsed", lambda: later)
    with pytest.raises(LeaseLost):
        held.check()


def test_a_heartbeat_keeps_a_short_lease(database, stage_id):
    held = acquire(database, stage_id, "one", 2)
    assert held is not None
    with Heartbeat(held, every=0.3):
        time.sleep(2.5)
        assert acquire(database, stage_id, "two", 2) is None
        held.check()


def test_of_many_threads_one_gets_the_stage(database, stage_id):
    with ThreadPoolExecutor(16) as pool:
        leases = list(pool.map(lambda n: acquire(database, stage_id, f"thread {n}", 30), range(16)))
    assert sum(lease is not None for lease in leases) == 1


def _hold_in_turns(url, stage_id, name, times, seconds, log):
    """Take the stage, say so, hold it for a moment, say so, give it back; in a process of its own.

    So many times at least, as a machine that is busy does little in a second.
    """
    engine = make_engine(url)
    sessions = make_sessions(engine)
    ends = time.monotonic() + seconds
    while times > 0 or time.monotonic() < ends:
        held = acquire(sessions, stage_id, name, 30)
        if held is not None:
            times -= 1
            log.put(("took", name, held.fence, time.monotonic()))
            time.sleep(0.003)
            log.put(("left", name, held.fence, time.monotonic()))
            held.release()
    engine.dispose()
    log.put(None)


def test_two_services_on_one_database_never_hold_a_stage_at_once(database, database_url, stage_id):
    spawn = multiprocessing.get_context("spawn")
    log = spawn.Queue()
    services = [
        spawn.Process(target=_hold_in_turns, args=(database_url, stage_id, f"service {n}", 12, 1.0, log))
        for n in range(2)
    ]
    for service in services:
        service.start()
    entries = []
    ended = 0
    while ended < len(services):
        entry = log.get(timeout=60)
        ended += entry is None
        entries += [] if entry is None else [entry]
    for service in services:
        service.join()
        assert service.exitcode == 0
    entries.sort(key=lambda entry: entry[3])
    assert {name for _, name, _, _ in entries} == {"service 0", "service 1"}
    # Taken and left in turns, and never a fence twice: nobody took what another still held.
    assert [what for what, *_ in entries] == ["took", "left"] * (len(entries) // 2)
    fences = [fence for what, _, fence, _ in entries if what == "took"]
    assert fences == sorted(set(fences))
    assert len(fences) > 20


def test_a_holder_that_froze_in_the_middle_of_a_write_keeps_nobody_waiting_for_ever(
    postgres, postgres_url, monkeypatch
):
    with postgres.begin() as session:
        stage_id = add_stage(session).id
    monkeypatch.setattr(database_module, "IDLE_TRANSACTION_SECONDS", 1)
    engine = make_engine(postgres_url)
    sessions = make_sessions(engine)
    frozen = acquire(sessions, stage_id, "frozen", 0)
    writing = frozen.fenced()
    writing.__enter__()  # its process has stopped here, with the row locked
    began = time.monotonic()
    assert acquire(sessions, stage_id, "next", 30) is not None
    assert 0.5 < time.monotonic() - began < 10
    with pytest.raises(DBAPIError):
        writing.__exit__(None, None, None)
    engine.dispose()
