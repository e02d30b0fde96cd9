"""Bring GitHub up to date with the database.

Level-triggered: it does not matter why or how often `tell` is called. It reads what is true now, compares that with
what GitHub was told last (`told`) and says what differs. Nothing is doubled: the row in `told` is there before the call
that makes something, its id after it; a row without an id may stand for a thing that was made by a process that died,
or by a call whose answer was lost, so that thing is looked for first.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self
from uuid import uuid4

import structlog
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import ReturningUpdate

from service.database import Sessions, now
from service.github.client import GitHubClients, RepositoryClient
from service.github.decide import statements
from service.github.errors import GitHubRefused, GitHubUnavailable, InstallationGone
from service.github.picture import CLAIM, Picture, read_picture
from service.github.statements import Check, Comment, Deployment, Statement, digest, is_an_end
from service.models import Told
from service.settings import Settings

log = structlog.get_logger(__name__)

CLAIM_SECONDS = 20
"""After which a claim that nobody renewed is void. A thread renews it, since one call with all its retries may take
longer: so it is void soon after its process died, and not while GitHub is slow.
"""

RENEW_SECONDS = 5
WAIT_SECONDS = 5
ROUNDS = 20
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class _News:
    key: str
    stage_id: int | None
    statement: Statement
    digest: str


def tell(sessions: Sessions, clients: GitHubClients, source_id: int, settings: Settings) -> None:
    """Make GitHub show what the database says of a source, with no call when it does so already.

    Raises `GitHubUnavailable` when that has to be tried again later. What GitHub refuses is written down and not said
    again until it changes; to an installation that is gone nothing is said.
    """
    if not _read(sessions, source_id, settings)[1]:
        return
    with _claim(sessions, source_id) as claim:
        for _ in range(ROUNDS):
            picture, news = _read(sessions, source_id, settings)
            if picture is None or not news:
                return
            try:
                client = clients.for_repository(picture.repository)
                for each in news:
                    claim.renew()
                    _Telling(sessions, client, picture, each, claim).say()
            except InstallationGone as gone:
                log.info("nobody to tell", source_id=source_id, reason=str(gone))
                return
    raise GitHubUnavailable("There is more to tell than can be told at once.")


def _read(sessions: Sessions, source_id: int, settings: Settings) -> tuple[Picture | None, list[_News]]:
    with sessions() as session:
        picture = read_picture(session, source_id)
    if picture is None:
        return None, []
    wanted = [
        _News(key, stage_id, statement, digest(statement))
        for key, (stage_id, statement) in statements(picture, settings.url).items()
    ]
    return picture, [news for news in wanted if not _is_told(picture, news)]


def _is_told(picture: Picture, news: _News) -> bool:
    row = picture.told.get(news.key)
    return row is not None and row.digest == news.digest


class _Telling:
    """One statement on its way to GitHub."""

    def __init__(
        self, sessions: Sessions, client: RepositoryClient, picture: Picture, news: _News, claim: "_Claim"
    ) -> None:
        self._sessions = sessions
        self._claim = claim
        self._client = client
        self._news = news
        self._number = int(picture.ref) if isinstance(news.statement, Comment) else 0
        self._source_id = picture.source_id
        self._row = picture.told.get(news.key)
        self._github_id = self._row.github_id if self._row else None

    def say(self) -> None:
        """Update what is there, or make it; write down what became of it."""
        try:
            if self._github_id is None:
                self._github_id = self._found_or_made()
            elif not self._update(self._github_id):
                # Somebody deleted it. From here on it counts as never made.
                self._write(github_id=None)
                self._github_id = self._make()
            self._write(github_id=self._github_id, digest=self._news.digest, state=_state(self._news.statement))
        except GitHubRefused as refused:
            log.warning("GitHub refused", key=self._news.key, source_id=self._source_id, reason=str(refused))
            self._write(digest=self._news.digest, state=REFUSED)

    def _found_or_made(self) -> int | None:
        if self._row is None:
            self._insert()
            return self._make()
        found = self._find()
        if found is not None and self._update(found):
            return found
        return None if is_an_end(self._news.statement) else self._make()

    def _insert(self) -> None:
        with self._sessions.begin() as session:
            session.add(
                Told(
                    source_id=self._source_id,
                    stage_id=self._news.stage_id,
                    key=self._news.key,
                    updated_at=now(session),
                )
            )

    def _write(self, **values: object) -> None:
        with self._sessions.begin() as session:
            session.execute(
                update(Told)
                .where(Told.source_id == self._source_id, Told.key == self._news.key)
                .values(updated_at=now(session), **values)
            )

    def _find(self) -> int | None:
        match self._news.statement:
            case Comment() as comment:
                return self._client.find_comment(self._number, comment.marker)
            case Check() as check:
                return self._client.find_check(check)
            case Deployment() as deployment:
                return self._client.find_deployment(deployment)

    def _make(self) -> int:
        # Looking for it first may have taken longer than a claim lasts, on a slow network.
        self._claim.renew()
        match self._news.statement:
            case Comment() as comment:
                return self._client.create_comment(self._number, comment)
            case Check() as check:
                return self._client.create_check(check)
            case Deployment() as deployment:
                made = self._client.create_deployment(deployment)
                # Two calls, and the second may fail: the first must not be made again for that.
                self._write(github_id=made)
                self._client.set_deployment_status(made, deployment)
                return made

    def _update(self, github_id: int) -> bool:
        match self._news.statement:
            case Comment() as comment:
                return self._client.update_comment(self._number, github_id, comment)
            case Check() as check:
                return self._client.update_check(github_id, check)
            case Deployment() as deployment:
                return self._client.set_deployment_status(github_id, deployment)


def _state(statement: Statement) -> str:
    match statement:
        case Comment():
            return "told"
        case Check(status=status):
            return status.value
        case Deployment(state=state):
            return state.value


# --- Claims -----------------------------------------------------------------------------------------------------------


class AnotherTells(GitHubUnavailable):
    """Another process is telling GitHub about the same source. It reads what is true until nothing is left to tell, so
    what we know is told, too, unless it dies.
    """


class _Claim:
    """The right to tell GitHub about one source, held by one process at a time, for `CLAIM_SECONDS` after each renewal.

    It is a row of `told` and each step is one conditional UPDATE, so it works alike on every database and no
    transaction stays open during a call to GitHub.
    """

    def __init__(self, sessions: Sessions, source_id: int) -> None:
        self._sessions = sessions
        self._source_id = source_id
        self._holder = uuid4().hex
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"claim-{source_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self.release()

    def _keep(self) -> None:
        while not self._over.wait(RENEW_SECONDS):
            try:
                self.renew()
            except Exception as trouble:  # `renew` is asked once more before anything is made
                log.warning("a claim could not be renewed", source_id=self._source_id, error=str(trouble))

    def take(self) -> bool:
        """Take the claim if nobody holds it, or whoever did has not been heard of for too long."""
        self._make_row()
        with self._sessions.begin() as session:
            moment = now(session)
            void = Told.updated_at < moment - timedelta(seconds=CLAIM_SECONDS)
            taken = session.execute(self._row((Told.state == "") | void, state=self._holder, updated_at=moment))
            return taken.first() is not None

    def renew(self) -> None:
        """Hold the claim for longer; raise `GitHubUnavailable` when another process has taken it."""
        with self._sessions.begin() as session:
            renewed = session.execute(self._row(Told.state == self._holder, updated_at=now(session)))
            if renewed.first() is None:
                raise AnotherTells("Another process has taken over telling GitHub.")

    def release(self) -> None:
        """Let the next one in."""
        with self._sessions.begin() as session:
            session.execute(self._row(Told.state == self._holder, state=""))

    def _make_row(self) -> None:
        try:
            with self._sessions.begin() as session:
                there = select(Told.id).where(Told.source_id == self._source_id, Told.key == CLAIM)
                if session.execute(there).first() is None:
                    session.add(Told(source_id=self._source_id, key=CLAIM, updated_at=now(session)))
        except IntegrityError:
            pass  # another process made it at the same moment

    def _row(self, condition: ColumnElement[bool], **values: object) -> ReturningUpdate[tuple[int]]:
        ours = (Told.source_id == self._source_id, Told.key == CLAIM, condition)
        return update(Told).where(*ours).values(**values).returning(Told.id)


@contextmanager
def _claim(sessions: Sessions, source_id: int) -> Iterator[_Claim]:
    claim = _Claim(sessions, source_id)
    deadline = time.monotonic() + WAIT_SECONDS
    while not claim.take():
        if time.monotonic() > deadline:
            raise AnotherTells("Another process is telling GitHub about the same.")
        time.sleep(0.1)
    with claim:
        yield claim
