"""What a run or a plan says: events into the blob store, so that a page on another machine can follow.

Events are JSON lines in numbered chunks, a run's under `runs/<id>/events/`; a chunk is written whole. A worker that is
killed loses what it said in the last fraction of a second, nothing before.
"""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import datetime
from types import TracebackType
from typing import Any

import structlog

from service.blobs import BlobStore
from service.github.escape import redact
from stagedoor.events import Event, EventKind

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 0.25
MAX_EVENTS = 200_000  # after which only phases, stacks and warnings are kept: a runaway log must not fill the store


def events_prefix(run_id: int) -> str:
    """Return where a run's events are in the blob store."""
    return f"runs/{run_id}/events/"


def read_events(blobs: BlobStore, run_id: int, after: str = "") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield a run's chunks after the one named: the chunk's key, which resumes here, and its events."""
    for key in blobs.keys(events_prefix(run_id), after):
        yield key, [json.loads(line) for line in blobs.get(key).splitlines()]


def read_chunk(blobs: BlobStore, prefix: str, number: int) -> list[dict[str, Any]] | None:
    """Return the events of a chunk, numbered from 1; None as long as it is not written."""
    try:
        text = blobs.get(_chunk_key(prefix, number))
    except KeyError:
        return None
    return [json.loads(line) for line in text.splitlines()]


def _chunk_key(prefix: str, number: int) -> str:
    return f"{prefix}{number:08d}"


class Journal:
    """Takes events and writes them down in the background, under a prefix of the store."""

    def __init__(
        self, blobs: BlobStore, prefix: str, on_phase: Callable[[Event], None], *, goes_on: bool = False
    ) -> None:
        """`goes_on`: something was said before."""
        self._blobs = blobs
        self._prefix = prefix
        self._on_phase = on_phase
        self._waiting: list[str] = []
        self._said = 0
        self._chunk = sum(1 for _ in blobs.keys(self._prefix)) if goes_on else 0
        self._lock = threading.Lock()  # of what is waiting
        self._writing = threading.Lock()  # held while the store is spoken to
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._flush_now_and_then, name=f"journal {prefix}", daemon=True)

    def __enter__(self) -> "Journal":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self.flush()

    def emit(self, event: Event) -> None:
        """Take an event. A phase is also handed on, to the run's row and to GitHub."""
        self._said += 1
        if self._said > MAX_EVENTS and event.kind in {EventKind.LOG, EventKind.RESOURCE, EventKind.ASSET}:
            return
        # What an app prints may hold what nobody should read on a page.
        safe = replace(event, message=redact(event.message)) if event.message else event
        line = json.dumps(asdict(safe), default=_plain, ensure_ascii=False)
        with self._lock:
            self._waiting.append(line)
        if event.kind is EventKind.PHASE:
            self._on_phase(event)

    def flush(self) -> None:
        """Write what is waiting as the next chunk. What cannot be written now waits on: no run fails for its log."""
        with self._writing:
            with self._lock:
                lines, self._waiting = self._waiting, []
            if not lines:
                return
            try:
                self._blobs.put(_chunk_key(self._prefix, self._chunk + 1), "\n".join(lines).encode())
                self._chunk += 1
            except Exception:
                log.warning("the log cannot be written", blobs=self._prefix, events=len(lines), exc_info=True)
                with self._lock:
                    self._waiting[:0] = lines

    def _flush_now_and_then(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
