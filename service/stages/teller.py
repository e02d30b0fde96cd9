"""Tells GitHub, beside the work: the newest state is what counts, so what piles up meanwhile is told at once."""

import threading
from datetime import datetime
from types import TracebackType

import structlog
from sqlalchemy import select, update

from service.database import now
from service.github.client import GitHubClients
from service.github.errors import GitHubUnavailable
from service.github.tell import AnotherTells, tell
from service.models import Source
from service.parts import Parts
from service.stages.decide import retry_after

log = structlog.get_logger(__name__)


def tell_or_put_off(parts: Parts, github: GitHubClients, source_id: int) -> None:
    """Bring GitHub up to date on a source; where that cannot be done now, leave the source behind, to be told later."""
    try:
        tell(parts.sessions, github, source_id, parts.settings)
        _begin_anew(parts, source_id)
    except AnotherTells as busy:
        # No failure: nothing is wrong with GitHub, and to wait longer each time would keep the next push waiting.
        log.info("another process tells GitHub", source_id=source_id, reason=str(busy))
        _put_off(parts, source_id, None, failed=False)
    except Exception as trouble:
        log.warning("GitHub could not be told", source_id=source_id, exc_info=True)
        _put_off(parts, source_id, trouble.retry_at if isinstance(trouble, GitHubUnavailable) else None, failed=True)


def _put_off(parts: Parts, source_id: int, retry_at: datetime | None, *, failed: bool) -> None:
    with parts.sessions.begin() as session:
        source = session.scalars(select(Source).where(Source.id == source_id).with_for_update()).one()
        source.generation += 1
        source.attempts += int(failed)
        source.not_before = retry_at or now(session) + retry_after(source.attempts if failed else 1)


def _begin_anew(parts: Parts, source_id: int) -> None:
    """Forget how often GitHub failed us over a source: it has been asked and told."""
    with parts.sessions.begin() as session:
        session.execute(update(Source).where(Source.id == source_id, Source.attempts > 0).values(attempts=0))


class Teller:
    """A thread that tells GitHub after each poke; on leaving, everything has been told or put off.

    Where even that could not be written down, leaving raises the reason: whoever holds the stage must not give it back
    as if all were said.
    """

    def __init__(self, parts: Parts, github: GitHubClients, source_id: int | None) -> None:
        self._parts = parts
        self._github = github
        self._source_id = source_id
        self._news = threading.Event()
        self._stop = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._tell_the_news, name=f"teller-{source_id}", daemon=True)

    def __enter__(self) -> "Teller":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop = True
        self._news.set()
        self._thread.join()
        if self._failure is not None and error is None:
            raise self._failure

    def poke(self) -> None:
        """There is something new to tell. Returns at once."""
        self._news.set()

    def _tell_the_news(self) -> None:
        while self._source_id is not None:
            self._news.wait()
            last = self._stop
            self._news.clear()
            try:
                tell_or_put_off(self._parts, self._github, self._source_id)
                self._failure = None
            except Exception as trouble:
                self._failure = trouble
            if last:
                return
