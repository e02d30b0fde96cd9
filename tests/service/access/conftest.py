"""A service that a GitHub, an OIDC issuer and a pull request are known to."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from service.access import callers as module
from service.access.callers import Callers
from service.access.errors import NotLoggedIn
from service.models import App, GitHubHost, SourceKind, Stage, StageKind
from service.parts import Parts, make_parts
from service.settings import Settings
from stagedoor.target import Trust
from tests.oidc_issuer import JobClaims, OidcIssuer
from tests.service.rows import T0, add_repository, add_source, add_target

AUDIENCE = "https://stages.example.com"


class Log:
    """What was written to the log of the callers."""

    def __init__(self) -> None:
        self.refusals: list[dict[str, Any]] = []

    def warning(self, event: str, **said: Any) -> None:
        assert event == "caller refused"
        self.refusals.append(said)

    def info(self, event: str, **said: Any) -> None:
        pass

    @property
    def reason(self) -> str:
        """The reason of the one refusal since this was last asked."""
        (only,) = self.refusals
        self.refusals.clear()
        return str(only["reason"])


@dataclass
class World:
    """A service, who knocks at its door, and what is in its log. `job` is a push to `main`."""

    parts: Parts
    callers: Callers
    issuer: OidcIssuer
    github: LocalGitHub
    log: Log
    repository_id: int
    job: JobClaims

    def token(self, job: JobClaims | None = None, **standard: Any) -> str:
        return self.issuer.mint(job or self.job, AUDIENCE, **standard)

    def exchange(self, token: str, command: str = "deploy") -> dict[str, Any]:
        return self.callers.exchange(token, {"app": "notes", "command": command})

    def refused(self, token: str) -> str:
        """Show a token that is to be refused; return the reason, which is only in the log."""
        with pytest.raises(NotLoggedIn) as error:
            self.exchange(token)
        assert (error.value.what, error.value.remedy) == (NotLoggedIn().what, NotLoggedIn().remedy)
        return self.log.reason

    def branch(self, name: str, **more: Any) -> JobClaims:
        return replace(self.job, ref=f"refs/heads/{name}", **more)

    def pull(self, number: int, event: str = "pull_request", **more: Any) -> JobClaims:
        return replace(self.job, event=event, ref=f"refs/pull/{number}/merge", **more)


@pytest.fixture(scope="package")
def github_of_callers() -> Iterator[tuple[LocalGitHub, LocalRepository, int, int]]:
    """The local GitHub, a repository, the number of a pull request from a branch of it, and of one from a fork."""
    with LocalGitHub() as github:
        notes = github.create_repository("acme/notes", Path("examples/notes").absolute())
        github.push(notes, "shorter", {"README.md": "short"}, deliver=False)
        own = github.open_pull_request(notes, "shorter", deliver=False)
        fork = github.fork(notes, "stranger")
        github.push(fork, "theirs", {"README.md": "theirs"}, deliver=False)
        github.push(notes, "theirs", {"README.md": "theirs"}, deliver=False)
        foreign = github.open_pull_request(notes, "theirs", fork=fork, deliver=False)
        yield github, notes, own, foreign


@pytest.fixture(scope="package")
def running_issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer() as running:
        yield running


@pytest.fixture
def issuer(running_issuer: OidcIssuer) -> OidcIssuer:
    """An issuer that nobody has asked yet."""
    running_issuer.fetches.clear()
    running_issuer.broken = False
    return running_issuer


@pytest.fixture
def database_url(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite, where a test does not ask for PostgreSQL."""
    if getattr(request, "param", "") == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    file = tmp_path / "stagedoor.sqlite"
    file.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{file}"


@pytest.fixture
def world(
    github_of_callers: tuple[LocalGitHub, LocalRepository, int, int],
    issuer: OidcIssuer,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    github, notes, own, _ = github_of_callers
    github.developer_permission = "admin"
    settings = settings_for(github, issuer, database_url, tmp_path)
    parts = make_parts(settings)
    with parts.sessions.begin() as session:
        host = GitHubHost(name=github.web_url.removeprefix("http://"), api_url=github.api_url, web_url=github.web_url)
        repository = add_repository(
            session, "acme/notes", notes.number, host=host, installation_id=github.installation_id
        )
        app = App(repository_id=repository.id, name="notes", created_at=T0)
        session.add(app)
        session.flush()
        target_id = add_target(session).id
        pull = add_source(session, repository, own)
        main = add_source(session, repository, 99)
        main.kind, main.ref = SourceKind.BRANCH, "main"
        session.flush()

        def stage(name: str, kind: StageKind, source_id: int | None, environment: str) -> Stage:
            born = {"last_activity_at": T0, "created_at": T0, "frozen_target": {}, "trust": Trust.PREVIEW}
            place = {"app_id": app.id, "target_id": target_id, "source_id": source_id, "prefix": f"notes-{name}"}
            return Stage(name=name, kind=kind, environment=environment, **born, **place)

        session.add_all(
            [
                stage(f"pr-{own}", StageKind.PREVIEW, pull.id, "preview"),
                stage("main", StageKind.NAMED, main.id, "Production"),
                stage("demo", StageKind.NAMED, None, "preview"),
                stage("dev-mona", StageKind.PERSONAL, None, "production"),
            ]
        )
        repository_id = repository.id
    log = Log()
    monkeypatch.setattr(module, "log", log)
    owner: int = notes.shape["owner"]["id"]
    yield World(parts, Callers.of(parts), issuer, github, log, repository_id, JobClaims(notes.number, owner))
    parts.engine.dispose()


def settings_for(github: LocalGitHub, issuer: OidcIssuer, database_url: str, folder: Path) -> Settings:
    return Settings(
        data_dir=folder,
        database_url=database_url,
        public_url=AUDIENCE,
        oidc_issuers=issuer.url,
        github_app_id=github.app_id,
        github_private_key=github.private_key,
        github_webhook_secrets=github.webhook_secret,
        github_api_url=github.api_url,
        github_web_url=github.web_url,
    )
