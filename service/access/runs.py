"""From the OIDC token of a workflow's job to a token of ours for that one run."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TypeVar
from urllib.parse import urlsplit

from sqlalchemy import delete, select
from sqlalchemy.orm import joinedload

from service.access.errors import GitHubAway, Refused
from service.access.login import host_name
from service.access.oidc import LEEWAY_SECONDS, Job, JobTokens
from service.access.reach import pull_number, reach_of
from service.access.tokens import RunToken
from service.database import insert_into, now
from service.github.client import GitHubClients, RepositoryClient
from service.github.errors import GitHubRefused, GitHubUnavailable, InstallationGone
from service.models import GitHubHost, Repository, UsedJti
from service.parts import Parts

OWNER_SECONDS = 60.0
_MARGIN = timedelta(seconds=LEEWAY_SECONDS + 60)
_MOST_OWNERS = 10_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run that is what it says: what to put into its token, and the address of its repository."""

    claims: RunToken
    repository: str


class Runs:
    """Takes each OIDC token once. Safe to share between threads, and between processes by the database."""

    def __init__(
        self, parts: Parts, jobs: JobTokens, github: GitHubClients, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._parts = parts
        self._jobs = jobs
        self._github = github
        self._clock = clock
        self._owners: dict[int, tuple[int | None, float]] = {}
        self._lock = Lock()

    def known(self, token: str, command: str) -> KnownRun:
        """Return the run that a job's token stands for. Raises `Refused`, and `GitHubAway` when GitHub must be asked.

        The token is used up once it is known to be real and of a repository of ours: strangers fill no table.
        """
        job = self._jobs.read(token)
        facts = {"repository": job.repository, "run_id": job.run_id, "event_name": job.event, "ref": job.ref}
        try:
            repository = self._repository(job)
            self._use_up(job)
            client = self._client(repository)
            if self._owner_id(repository, client) != job.owner_id:
                raise Refused("owner", owner_id=job.owner_id)
            from_fork = job.event == "pull_request" and _is_from_fork(job, repository, client)
            reach = reach_of(job, command, from_fork=from_fork)
        except Refused as refused:
            raise Refused(refused.reason, **{**facts, **refused.facts}) from None
        claims = RunToken(
            repository_id=repository.id,
            run_id=job.run_id,
            run_attempt=job.run_attempt,
            event=job.event,
            ref=job.ref,
            sha=job.sha,
            environment=reach.environment,
            actor=job.actor,
            rights=" ".join(sorted(reach.rights)),
            stage=reach.stage,
        )
        return KnownRun(claims, f"{urlsplit(repository.host.web_url).hostname}/{repository.full_name}")

    def _repository(self, job: Job) -> Repository:
        """Return the repository that the App is installed on, by its number."""
        with self._parts.sessions() as session:
            found = session.scalars(
                select(Repository)
                .join(GitHubHost, Repository.host_id == GitHubHost.id)
                .where(GitHubHost.name == host_name(self._parts.settings), Repository.github_id == job.repository_id)
                .options(joinedload(Repository.host), joinedload(Repository.installation))
            ).one_or_none()
        if found is None:
            raise Refused("unknown repository", repository_id=job.repository_id)
        return found

    def _use_up(self, job: Job) -> None:
        """Write down that the token was shown: of two who do so at once, the database lets one."""
        digest = hashlib.sha256(f"{job.issuer}\0{job.jti}".encode()).hexdigest()
        row = {"digest": digest, "expires_at": datetime.fromtimestamp(job.expires, UTC) + _MARGIN}
        with self._parts.sessions.begin() as session:
            insert = insert_into(UsedJti, session.get_bind().dialect.name).values(row)
            if session.scalar(insert.on_conflict_do_nothing().returning(UsedJti.digest)) is None:
                raise Refused("shown before", jti=job.jti)
        with self._parts.sessions.begin() as session:
            session.execute(delete(UsedJti).where(UsedJti.expires_at < now(session)))

    def _client(self, repository: Repository) -> RepositoryClient:
        try:
            return self._github.for_repository(repository)
        except InstallationGone:
            raise Refused("the App is not installed there") from None

    def _owner_id(self, repository: Repository, client: RepositoryClient) -> int | None:
        with self._lock:
            known = self._owners.get(repository.id)
        if known is None or known[1] <= self._clock():
            said = _asked(client.owner_id)
            with self._lock:
                if len(self._owners) >= _MOST_OWNERS:
                    self._owners.clear()
                known = self._owners[repository.id] = (said, self._clock() + OWNER_SECONDS)
        return known[0]


def _is_from_fork(job: Job, repository: Repository, client: RepositoryClient) -> bool:
    """Tell whether the head of a pull request's run is elsewhere: the token does not say it, GitHub does."""
    number = pull_number(job.ref)
    if number is None:
        return False
    pull = _asked(lambda: client.pull(number))
    if pull is None:
        raise Refused("no such pull request")
    return pull.head_repository_id != repository.github_id


def _asked(question: Callable[[], T]) -> T:
    try:
        return question()
    except InstallationGone:
        raise Refused("the App is not installed there") from None
    except (GitHubUnavailable, GitHubRefused):
        raise GitHubAway from None
