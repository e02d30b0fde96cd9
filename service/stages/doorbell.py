"""The doorbell: tells workers which stages, sources and plans are behind. It carries a key and nothing more.

The database knows what is behind; the queue only saves the waiting. Losing the queue, or what is in it, loses seconds.
"""

import threading
from dataclasses import dataclass
from datetime import timedelta

import structlog
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from service.database import now
from service.models import Repository, Source, SourceKind, Stage
from service.parts import Parts
from service.stages.plans import ring_for_plans

log = structlog.get_logger(__name__)

QUEUE = "stagedoor"
RECONCILE = "service.worker.jobs.reconcile_stage"
RESOLVE = "service.worker.jobs.resolve_source"
FIND = "service.worker.jobs.find_unheard_pulls"
PLAN = "service.worker.jobs.plan_stage"
JOBS = frozenset({RECONCILE, RESOLVE, FIND, PLAN})
JOB_SECONDS = 4 * 60 * 60  # the longest that CloudFormation takes over one run, and more
BATCH = 200
READ_AGAIN_AT_ONCE = 20
"""How many sources are read again, and repositories searched, each time: once a minute that is less than GitHub's
smallest limit (5,000 calls an hour) when all of them are behind one installation.
"""


@dataclass(frozen=True, slots=True)
class Ring:
    """One ring: which job, and the id of the row that is behind."""

    job: str
    row_id: int


def queue_on(url: str) -> Queue:
    """Return the queue. Only connects when it is used; a server that does not answer is given up on after seconds."""
    connection = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=5)
    return Queue(QUEUE, connection=connection, serializer=JSONSerializer, default_timeout=JOB_SECONDS)


class Ringer:
    """Looks for what is behind and has no live holder, and rings for it. Any number may run at once."""

    def __init__(self, parts: Parts, queue: Queue) -> None:
        self._parts = parts
        self._queue = queue
        self._stop = threading.Event()

    def run(self) -> None:
        """Look now and then, until `stop`."""
        while not self._stop.wait(self._parts.settings.ring_seconds):
            try:
                self.look()
            except RedisError as error:
                log.warning("the queue cannot be reached", error=str(error))
                self._stop.wait(1)
            except Exception:
                log.warning("the ringer could not look", exc_info=True)
                self._stop.wait(1)

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def look(self) -> list[Ring]:
        """Ring for what is behind now, and return for what."""
        # A ring that nobody has answered waits in a busy queue; only into an idle one it is repeated soon.
        idle = self._queue.count == 0
        again = self._parts.settings.ring_again_seconds * (1 if idle else 12)
        with self._parts.sessions.begin() as session:
            behind = Source.generation > Source.done_generation
            # While a ring for a source waits it needs no other: whoever answers asks for what is true then.
            answered = Source.rung_generation <= Source.done_generation
            rings = [Ring(RESOLVE, row) for row in _take(session, Source, behind, answered, again)]
            # A lease that ran out was never given back: its holder died, perhaps before GitHub was told how it ended.
            behind = or_(
                (Stage.wanted_generation > Stage.done_generation) & Stage.holder.is_(None),
                Stage.lease_until < now(session),
            )
            newer = Stage.rung_generation < Stage.wanted_generation
            rings += [Ring(RECONCILE, row) for row in _take(session, Stage, behind, newer, again)]
            rings += [Ring(PLAN, row) for row in ring_for_plans(session, again, BATCH)]
        for ring in rings:
            self._queue.enqueue(ring.job, ring.row_id, result_ttl=0, failure_ttl=24 * 3600)
        return rings

    def verify(self) -> int:
        """Raise the generation of open sources that GitHub has not been asked about for long; return how many.

        A branch that has no stage is left out: there is one for each branch that was ever pushed, and nothing but a
        push to it can make a rule name it. Rows that another transaction holds are left to the next time.
        """
        with self._parts.sessions.begin() as session:
            old = now(session) - timedelta(seconds=self._parts.settings.verify_seconds)
            has_stage = select(Stage.id).where(Stage.source_id == Source.id).exists()
            quiet = (
                select(Source.id)
                .where(Source.open, Source.updated_at < old, Source.generation == Source.done_generation)
                .where(or_(Source.kind == SourceKind.PULL, has_stage))
                .order_by(Source.updated_at)
                .limit(READ_AGAIN_AT_ONCE)
                .with_for_update(skip_locked=True)
            )
            found = session.scalars(quiet).all()
            session.execute(update(Source).where(Source.id.in_(found)).values(generation=Source.generation + 1))
        return len(found)

    def search(self) -> int:
        """Have repositories searched for what no webhook told, those first that nobody has searched for longest."""
        with self._parts.sessions.begin() as session:
            moment = now(session)
            old = moment - timedelta(seconds=self._parts.settings.verify_seconds)
            due = (
                select(Repository.id)
                .where(Repository.installation_id.is_not(None))
                .where(or_(Repository.searched_at.is_(None), Repository.searched_at < old))
                .order_by(Repository.searched_at.is_not(None), Repository.searched_at)
                .limit(READ_AGAIN_AT_ONCE)
                .with_for_update(skip_locked=True)
            )
            found = session.scalars(due).all()
            session.execute(update(Repository).where(Repository.id.in_(found)).values(searched_at=moment))
        for repository_id in found:
            self._queue.enqueue(FIND, repository_id, result_ttl=0, failure_ttl=24 * 3600)
        return len(found)


def _take(
    session: Session, table: type[Source | Stage], behind: ColumnElement[bool], fresh: ColumnElement[bool], again: float
) -> list[int]:
    """Return the rows that are behind, due, and either fresh or not rung for within `again` seconds; they are marked as
    rung for now.
    """
    moment = now(session)
    wanted = Stage.wanted_generation if table is Stage else Source.generation
    rows = (
        select(table.id)
        .where(
            behind,
            or_(table.not_before.is_(None), table.not_before <= moment),
            or_(
                fresh,
                table.rung_at.is_(None),
                table.rung_at < moment - timedelta(seconds=again),
            ),
        )
        .order_by(table.id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    found = list(session.scalars(rows))
    if found:
        session.execute(
            update(table)
            .where(table.id.in_(found))
            .values(rung_at=moment, rung_generation=wanted)
            .execution_options(synchronize_session=False)
        )
    return found
