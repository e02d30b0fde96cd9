"""The service's insides on real parts: a database, the local GitHub, the local AWS, and a tiny app."""

import itertools
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from demo.aws.server import LocalAws
from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from service.blobs import FolderBlobs
from service.database import Sessions, make_engine, make_sessions
from service.github.client import GitHubClients
from service.models import (
    GitHubHost,
    Intent,
    Run,
    Source,
    SourceKind,
    Stage,
)
from service.parts import Parts
from service.settings import Settings
from service.stages.reconcile import reconcile
from service.stages.sources import resolve
from service.webhooks.hints import hint_of
from service.webhooks.record import Received, record
from service.webhooks.seen import HostAddress
from tests.service.rows import T0, add_repository, add_target
from tests.service.stages import tiny_app

_REPOSITORIES = itertools.count(1)
_ACCOUNTS = itertools.count(700_000_000_001)


@pytest.fixture(scope="session")
def github() -> Iterator[LocalGitHub]:
    with LocalGitHub() as running:
        yield running


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as running:
        yield running


@dataclass
class House:
    """A service without its processes: what webhooks and workers do is done by calling it."""

    github: LocalGitHub
    repository: LocalRepository
    parts: Parts
    clients: GitHubClients
    repository_id: int
    heard: int = 0

    def pull_request(self, **files: str) -> int:
        """Push a branch with these files, open a pull request, and return the id of its source."""
        branch = f"topic-{next(_REPOSITORIES)}"
        self.github.push(self.repository, branch, {**tiny_app.files("one"), **files})
        number = self.github.open_pull_request(self.repository, head=branch, base="main", title="A change")
        with self.parts.sessions.begin() as session:
            source = Source(
                repository_id=self.repository_id,
                kind=SourceKind.PULL,
                ref=str(number),
                generation=1,
                created_at=T0,
                updated_at=T0,
            )
            session.add(source)
            session.flush()
            return source.id

    def number(self, source_id: int) -> int:
        with self.parts.sessions() as session:
            return int(session.get_one(Source, source_id).ref)

    def push(self, source_id: int, files: Mapping[str, str | None]) -> str:
        head = self.github.pull(self.repository, self.number(source_id))["head"]["ref"]
        return self.github.push(self.repository, head, files)

    def touch(self, source_id: int) -> None:
        """Do what a webhook does."""
        with self.parts.sessions.begin() as session:
            session.get_one(Source, source_id).generation += 1

    def hear(self) -> None:
        """Record the webhooks about this repository that came since the last time."""
        address = HostAddress("local", self.github.api_url, self.github.web_url)
        new, self.heard = self.github.deliveries[self.heard :], len(self.github.deliveries)
        for delivery in new:
            payload = delivery.payload
            if payload.get("repository", {}).get("id") == self.repository.number:
                received = Received(delivery.guid, delivery.event, payload.get("action", ""), delivery.body, T0)
                record(self.parts.engine, address, received, hint_of(delivery.event, payload))

    def resolve(self, source_id: int) -> None:
        resolve(self.parts.sessions, self.clients, source_id)

    def reconcile(self, source_id: int) -> None:
        for stage in self.stages(source_id):
            reconcile(self.parts, self.clients, stage.id)

    def stages(self, source_id: int) -> list[Stage]:
        with self.parts.sessions() as session:
            return list(session.scalars(select(Stage).where(Stage.source_id == source_id).order_by(Stage.id)))

    def stage(self, source_id: int) -> Stage:
        (stage,) = self.stages(source_id)
        return stage

    def intents(self, source_id: int) -> list[tuple[str, str]]:
        with self.parts.sessions() as session:
            found = session.scalars(
                select(Intent)
                .join(Stage, Intent.stage_id == Stage.id)
                .where(Stage.source_id == source_id)
                .order_by(Intent.id)
            )
            return [(intent.want.value, intent.cause) for intent in found]

    def runs(self, source_id: int) -> list[Run]:
        with self.parts.sessions() as session:
            return list(
                session.scalars(
                    select(Run)
                    .join(Stage, Run.stage_id == Stage.id)
                    .where(Stage.source_id == source_id)
                    .order_by(Run.id)
                )
            )

    def outcomes(self, source_id: int) -> list[Any]:
        return [(run.kind.value, run.outcome and run.outcome.value) for run in self.runs(source_id)]

    def source(self, source_id: int) -> Source:
        with self.parts.sessions() as session:
            return session.get_one(Source, source_id)


def make_house(github: LocalGitHub, sessions: Sessions, folder: Path, account: str) -> House:
    app = folder / "app"
    for name, text in tiny_app.files("main").items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(text)
    repository = github.create_repository(f"acme/tiny-{next(_REPOSITORIES)}", app)
    settings = Settings(
        data_dir=folder / "data",
        github_app_id=github.app_id,
        github_private_key=github.private_key,
        github_api_url=github.api_url,
        github_web_url=github.web_url,
        retry_seconds=0.1,
    )
    with sessions.begin() as session:
        host = GitHubHost(name="local", api_url=github.api_url, web_url=github.web_url)
        row = add_repository(
            session, repository.full_name, repository.number, host=host, installation_id=github.installation_id
        )
        target = add_target(session)
        target.account = account
        session.flush()
        repository_id = row.id
    parts = Parts(settings, sessions.kw["bind"], sessions, FolderBlobs(folder / "blobs"))
    return House(github, repository, parts, GitHubClients(settings), repository_id)


@pytest.fixture
def house(github: LocalGitHub, database: Sessions, tmp_path: Path) -> House:
    """On SQLite and on PostgreSQL, without an AWS: for what is decided and written down."""
    return make_house(github, database, tmp_path, "000000000001")


@pytest.fixture
def account() -> str:
    return str(next(_ACCOUNTS))


@pytest.fixture
def live_house(
    github: LocalGitHub,
    aws: LocalAws,
    sqlite_template: Path,
    tmp_path: Path,
    account: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[House]:
    """On SQLite, with the local AWS, in an account of its own."""
    for name, value in aws.environment(account).items():
        monkeypatch.setenv(name, value)
    shutil.copy(sqlite_template, tmp_path / "stagedoor.sqlite")
    engine = make_engine(f"sqlite:///{tmp_path}/stagedoor.sqlite")
    yield make_house(github, make_sessions(engine), tmp_path, account)
    engine.dispose()
