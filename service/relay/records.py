"""What went through tunnels, written down by a thread: in batches, and never at the cost of a call."""

import queue
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, insert, select, update

from service.database import Sessions, now
from service.models import Invocation
from service.relay.attempts import Attempt, Phase

log = structlog.get_logger(__name__)
PAYLOAD_BYTES = 256 * 1024
"""Longer events and results are not kept: half of one can be neither read nor replayed."""

MOST_WAITING = 10_000
MOST_PAYLOAD_BYTES = 64 * 1024 * 1024
BATCH = 500
BATCH_SECONDS = 0.2
PRUNE_SECONDS = 600.0
_TRIES = 5


class Records:
    """A bounded queue and the thread that empties it. What does not fit is counted and lost."""

    def __init__(self, sessions: Sessions, days: float, payload_days: float) -> None:
        self._sessions = sessions
        self._days = timedelta(days=days)
        self._payload_days = timedelta(days=payload_days)
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(MOST_WAITING)
        self._payload_bytes = 0
        self._thread: threading.Thread | None = None
        self._lost = 0

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)
        self._thread.start()

    def put(self, attempt: Attempt) -> None:
        """Have an attempt written down that is over, or that nobody waits for any more."""
        row = row_of(attempt)
        if self._payload_bytes > MOST_PAYLOAD_BYTES:
            row["event"] = row["result"] = None
        self._payload_bytes += _payload(row)
        try:
            self._queue.put_nowait(row)
        except queue.Full:
            self._payload_bytes -= _payload(row)
            self._lost += 1

    def stop(self, seconds: float = 3.0) -> None:
        """Write what is left, as far as it can be written in so long."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(seconds)

    def _run(self) -> None:
        pruned = float("-inf")
        while True:
            batch, last = self._batch()
            if batch:
                self._write(batch)
            if last:
                return
            if time.monotonic() - pruned >= PRUNE_SECONDS:
                pruned = time.monotonic()
                self._prune()

    def _batch(self) -> tuple[list[dict[str, Any]], bool]:
        """Return the next rows, and whether they are the last. Others gather while it sleeps: were it woken for each,
        the event loop would lose its turn each time.
        """
        batch: list[dict[str, Any]] = []
        try:
            row = self._queue.get(timeout=PRUNE_SECONDS)
            if row is not None:
                time.sleep(BATCH_SECONDS)
            while row is not None:
                batch.append(row)
                if len(batch) == BATCH:
                    return batch, False
                row = self._queue.get_nowait()
        except queue.Empty:
            return batch, False
        return batch, True

    def _write(self, batch: list[dict[str, Any]]) -> None:
        for attempt in range(1, _TRIES + 1):
            try:
                with self._sessions.begin() as session:
                    session.connection().execute(insert(Invocation), batch)
                break
            except Exception:
                log.warning("invocations could not be written down", count=len(batch), attempt=attempt, exc_info=True)
                time.sleep(0.2 * attempt)
        else:
            self._lost += len(batch)
        self._payload_bytes -= sum(map(_payload, batch))
        if self._lost:
            log.warning("invocations were not written down", count=self._lost)
            self._lost = 0

    def _prune(self) -> None:
        try:
            with self._sessions.begin() as session:
                moment = now(session)
                session.execute(delete(Invocation).where(Invocation.received_at < moment - self._days))
                session.execute(
                    update(Invocation)
                    .where(Invocation.received_at < moment - self._payload_days, Invocation.event.is_not(None))
                    .values(event=None, result=None)
                )
        except Exception:
            log.warning("old invocations could not be deleted", exc_info=True)


def row_of(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt as a row of `invocations`."""
    ask, result = attempt.ask, attempt.result
    body = result.body if result is not None else b""
    keeps = attempt.kept_event is not None
    names = ("offered", "custody", "started", "ended", "answered")
    times = {"received": round(attempt.received * 1000)}
    times |= {name: round(attempt.times[name] * 1000) for name in names if attempt.times.get(name)}
    return {
        "stage_id": ask.stage_id,
        "session_id": int(attempt.session) if attempt.session else None,
        "function": ask.function,
        "request_id": ask.request_id[:64],
        "attempt": ask.attempt,
        "developer": attempt.developer,
        "outcome": _outcome(attempt),
        "error_type": _error_type(attempt)[:255],
        "bytes_in": ask.size,
        "bytes_out": len(body),
        "times": times,
        "event": attempt.kept_event,
        "result": body if keeps and result is not None and len(body) <= PAYLOAD_BYTES else None,
        "replay_of": ask.replay_of,
        "received_at": datetime.fromtimestamp(attempt.received, UTC),
    }


def _outcome(attempt: Attempt) -> str:
    if attempt.phase is Phase.RESULT:
        return attempt.result.kind if attempt.result is not None else "response"
    return attempt.phase.value if attempt.over else "abandoned"


def _error_type(attempt: Attempt) -> str:
    if attempt.failure is not None:
        return attempt.failure.type
    if attempt.result is not None and attempt.result.kind == "error":
        return attempt.result.headers.get("Lambda-Runtime-Function-Error-Type", "")
    return ""


def _payload(row: dict[str, Any]) -> int:
    return len(row["event"] or b"") + len(row["result"] or b"")


def invocations(sessions: Sessions, stage_id: int, before: int | None, limit: int) -> list[dict[str, Any]]:
    """Return a stage's newest invocations, those before the id `before` where one is given; without payloads."""
    query = select(
        Invocation.id,
        Invocation.function,
        Invocation.request_id,
        Invocation.developer,
        Invocation.outcome,
        Invocation.error_type,
        Invocation.bytes_in,
        Invocation.bytes_out,
        Invocation.times,
        Invocation.replay_of,
        Invocation.event.is_not(None).label("replayable"),
    ).where(Invocation.stage_id == stage_id)
    if before is not None:
        query = query.where(Invocation.id < before)
    with sessions() as session:
        return [dict(row) for row in session.execute(query.order_by(Invocation.id.desc()).limit(limit)).mappings()]


def kept_event(sessions: Sessions, invocation_id: int) -> Invocation | None:
    """Return an invocation with its event, where there is one."""
    with sessions() as session:
        return session.get(Invocation, invocation_id)
