"""Workers do what the doorbell rings for and nothing else, and keep what they know to themselves."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from service.database import make_engine, make_sessions
from service.stages.doorbell import queue_on
from service.stages.lease import acquire, holder_name
from tests.service.rows import add_stage
from tests.service.worker.conftest import working


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def test_a_job_that_nobody_rings_for_is_not_run(settings, queue_url, tmp_path: Path):
    queue = queue_on(queue_url)
    with working(settings, queue_url):
        job = queue.enqueue("os.mkdir", str(tmp_path / "broken-in"))
        until(lambda: job.get_status(refresh=True) == "failed")
        called_back = queue.enqueue(
            "service.worker.jobs.resolve_source", 4711, on_failure="os.abort", on_success="os.abort", result_ttl=60
        )
        until(lambda: called_back.get_status(refresh=True) in ("finished", "failed"))
        assert called_back.get_status() == "finished"
    assert not (tmp_path / "broken-in").exists()


def test_the_queues_address_is_in_no_command_line(settings, queue_url):
    with working(settings, queue_url) as group:
        until(lambda: group._children)
        (worker,) = group._children
        until(lambda: b"service.worker.processes" in Path(f"/proc/{worker.pid}/cmdline").read_bytes())
        assert queue_url.encode() not in Path(f"/proc/{worker.pid}/cmdline").read_bytes()


def test_a_worker_has_the_door_of_the_keeper_of_warm_processes(settings, queue_url):
    with working(settings, queue_url) as group:
        until(lambda: group._children)
        until(lambda: sockets_of(os.getpid()) & sockets_of(group._children[0].pid))


def test_a_database_that_fails_once_ends_no_group(settings, queue_url, monkeypatch):
    failed = threading.Event()

    def broken(*_arguments):
        failed.set()
        raise OSError("the database is out of reach")

    monkeypatch.setattr("service.worker.processes.Ringer.verify", broken)
    with working(settings, queue_url, processes=0) as group:
        assert failed.wait(10)
        time.sleep(1)
        assert not group._stop.is_set()
        assert any(thread.name == "ringer" for thread in threading.enumerate())


def test_a_job_ends_with_its_worker(settings, queue_url):
    with working(settings, queue_url) as group, sqlite3.connect(settings.data_dir / "stagedoor.sqlite") as other:
        until(lambda: group._children)
        (worker,) = group._children
        other.execute("BEGIN IMMEDIATE")  # the job waits for this
        queue_on(queue_url).enqueue("service.worker.jobs.resolve_source", 4711)
        until(lambda: children_of(worker.pid))
        (horse,) = children_of(worker.pid)
        time.sleep(0.5)
        worker.kill()
        until(lambda: is_over(horse), seconds=5)
        other.rollback()


def sockets_of(pid):
    found = set()
    for descriptor in range(3, 256):
        with suppress(OSError):
            link = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            found |= {link} if link.startswith("socket:") else set()
    return found


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def is_over(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


KILLS_A_HORSE_OF_ITS_OWN_GROUP = """
import os, subprocess, sys
from service.worker.processes import OneHorseWorker
for apart in (False, True):
    horse = subprocess.Popen(["sleep", "60"], process_group=0 if apart else None)
    worker = object.__new__(OneHorseWorker)
    worker._horse_pid, worker.name, worker.log = horse.pid, "w", __import__("logging").getLogger()
    worker.kill_horse()
    assert horse.wait(10) == -9
    worker.kill_horse()
print("alive")
"""


def test_a_work_horse_is_killed_without_those_whose_group_it_is_still_in():
    script = [sys.executable, "-c", KILLS_A_HORSE_OF_ITS_OWN_GROUP]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False, start_new_session=True)
    assert done.stdout == "alive\n", done.stderr


def test_a_worker_that_is_told_to_stop_in_the_middle_of_a_run_hands_its_stage_on(settings, queue_url, monkeypatch):
    monkeypatch.setattr("service.worker.processes.STOP_SECONDS", 1.5)
    sessions = make_sessions(make_engine(settings.database))
    with working(settings, queue_url) as group:
        until(lambda: group._children)
        (worker,) = group._children
        with sqlite3.connect(settings.data_dir / "stagedoor.sqlite") as other:
            other.execute("BEGIN IMMEDIATE")  # the job waits for this
            queue_on(queue_url).enqueue("service.worker.jobs.resolve_source", 4711)
            until(lambda: children_of(worker.pid))
            (job,) = children_of(worker.pid)
            os.kill(int(job), signal.SIGSTOP)  # one that takes too long
            other.rollback()
        with sessions.begin() as session:
            stage_id = add_stage(session).id
        lease = acquire(sessions, stage_id, holder_name().replace(f":{os.getpid()}:", f":{job}:"), 600)
        assert lease
        began = time.monotonic()
        group.stop()
        until(lambda: worker.poll() is not None)
        assert time.monotonic() - began < 10
        assert is_over(int(job))
        assert acquire(sessions, stage_id, "the next one", 600)
