"""The processes of a worker: RQ workers, each a process of its own, and one that minds them and rings.

All of them may be killed at any time. A worker that dies is started again; what it was doing is taken over when its
lease is over.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from uuid import uuid4

import structlog
from rq import Worker
from rq.serializers import JSONSerializer

from service.health import Beat
from service.logs import configure_logs
from service.parts import make_parts
from service.pulse import say_behind
from service.settings import Settings
from service.stages.doorbell import Ringer, queue_on
from service.stages.idle_bridges import take_out_idle_bridges
from service.stages.lease import hand_on
from service.stages.leftovers import prune_deliveries, sweep_work_folders
from service.stages.pruning import prune_assemblies, prune_logs, prune_plans, prune_sources
from service.worker.parent import end_with_parent
from service.worker.ring_job import RingJob
from service.worker.upkeep import Upkeep
from service.worker.warmth import WARM_DOOR_VARIABLE, warm_keeper
from stagedoor.synth.confinement import shield_this_process
from stagedoor.synth.warm_keeper import WarmKeeper

log = structlog.get_logger(__name__)

WORKER_TTL_SECONDS = 30  # RQ notices a dead worker only after this, less 15 s
STOP_SECONDS = 20  # how long a worker may finish what it is at; then its job is killed and the next one takes over
FORCE_SECONDS = 5  # how long a worker then has to give back what its job held, before it is killed as well
QUEUE_VARIABLE = "STAGEDOOR_REDIS_URL"
NICENESS = 10
"""How much a worker, and all that it starts, gives way to others on its machine: GitHub waits ten seconds for a web
process's answer, and nobody notices whether a deploy took a tenth longer.
"""
UPKEEP_EVERY_SECONDS = 60  # or as often as the settings say, where that is oftener


class OneHorseWorker(Worker):
    """RQ's worker, which kills its work-horse and nobody else.

    RQ kills the process group that the work-horse is in. Before the work-horse has made one of its own, that is ours:
    the whole service's, and whatever started it.
    """

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Kill the work-horse, with its process group where it has one; one that is gone is let be."""
        with suppress(ProcessLookupError):
            if os.getpgid(self.horse_pid) == os.getpgrp():
                os.kill(self.horse_pid, sig)
            else:
                super().kill_horse(sig)


def work() -> None:
    """Be one RQ worker until told to stop. The first signal lets the job at hand finish; a second kills it, and gives
    the stage that it held to whoever comes next, who would else wait for the lease to end.

    The queue's URL comes in the environment: a command line, and a password in it, is there for all to read.
    """
    end_with_parent()
    os.nice(NICENESS)
    configure_logs()
    shield_this_process()  # an app of the same user must not read our environment
    # Before the first fork, so that each job does not pay for it again.
    from service.worker import jobs

    jobs.make_ready()

    queue = queue_on(os.environ[QUEUE_VARIABLE])
    queue.job_class = RingJob
    worker = OneHorseWorker(
        [queue],
        name=f"stagedoor-{os.getpid()}-{uuid4().hex[:6]}",
        connection=queue.connection,
        serializer=JSONSerializer,
        worker_ttl=WORKER_TTL_SECONDS,
        job_class=RingJob,
    )
    try:
        worker.work(logging_level="WARNING", with_scheduler=False)
    except SystemExit:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # our own group repeats it
        if job := worker.horse_pid:  # RQ has killed it and waited for it
            parts = make_parts(Settings())
            log.warning(
                "told to stop in the middle of a run; another worker goes on", stages=hand_on(parts.sessions, job)
            )
        raise


class WorkerGroup:
    """Some worker processes, the ringer that rings for them, and the keeper of the warm processes that they use."""

    def __init__(self, settings: Settings, redis_url: str, count: int) -> None:
        self._redis_url = redis_url
        self._count = count
        self._children: list[subprocess.Popen[bytes]] = []
        self._stop = threading.Event()
        self._settings = settings
        self._beat = Beat(settings.health_dir, "worker")
        parts = make_parts(settings)
        self._ringer = Ringer(parts, queue_on(redis_url))

        def sweep() -> int:
            return sweep_work_folders(parts)

        def prune() -> int:
            return prune_deliveries(parts)

        def take_away() -> int:
            return prune_assemblies(parts) + prune_plans(parts) + prune_logs(parts) + prune_sources(parts)

        def take_out() -> int:
            return take_out_idle_bridges(parts)

        def pulse() -> int:
            return say_behind(parts.sessions)

        every = min(UPKEEP_EVERY_SECONDS, settings.verify_seconds)
        self._upkeep = Upkeep(
            [self._ringer.verify, self._ringer.search, sweep, prune, take_away, take_out, pulse], every
        )

    def run(self) -> None:
        """Mind the workers until `stop`; then let them finish, and kill those that take too long."""
        beside = [
            threading.Thread(target=self._ringer.run, name="ringer", daemon=True),
            threading.Thread(target=self._upkeep.run, name="upkeep", daemon=True),
        ]
        for thread in beside:
            thread.start()
        try:
            with warm_keeper(self._settings) as keeper:
                self._mind_until_stop(keeper)
        finally:
            self._ringer.stop()
            self._upkeep.stop()
            for thread in beside:
                thread.join(timeout=5)

    def stop(self) -> None:
        """End `run`. Safe to call from a signal's handler."""
        self._stop.set()

    def _mind_until_stop(self, keeper: WarmKeeper | None) -> None:
        try:
            while not self._stop.is_set():
                self._mind(keeper)
                self._beat.beat()
                if keeper is not None:
                    keeper.mind()
                self._stop.wait(0.5)
        finally:
            self._ringer.stop()
            self._end_children()

    def _mind(self, keeper: WarmKeeper | None) -> None:
        for child in [child for child in self._children if child.poll() is not None]:
            log.warning("a worker has died and is started again", pid=child.pid, code=child.returncode)
            self._children.remove(child)
        door = str(keeper.door) if keeper else ""
        while len(self._children) < self._count:
            self._children.append(
                subprocess.Popen(
                    [sys.executable, "-m", "service.worker.processes"],
                    env={**os.environ, QUEUE_VARIABLE: self._redis_url, WARM_DOOR_VARIABLE: door},
                    pass_fds=(keeper.door,) if keeper else (),
                )
            )

    def _end_children(self) -> None:
        """Let the jobs at hand end, then kill them and have what they held given back, then kill the workers, too."""
        # Repeated: RQ hears no second signal in the second after the first, which a busy machine may hear late.
        for seconds in (STOP_SECONDS, *[FORCE_SECONDS / 4] * 4):
            for child in self._children:
                child.send_signal(signal.SIGTERM)
            if self._have_ended(seconds):
                return
        for child in self._children:
            child.kill()
            child.wait()

    def _have_ended(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        for child in self._children:
            try:
                child.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                return False
        return True


if __name__ == "__main__":
    work()
