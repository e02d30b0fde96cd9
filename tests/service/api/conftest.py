"""The real application on SQLite and on PostgreSQL, with the local GitHub on the other side."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from service.access.machine_tokens import create
from service.access.reach import Right
from service.access.tokens import LoginToken, Tokens
from service.api.operation import BASE
from service.app import create_app
from service.database import Sessions, make_engine, make_sessions, migrate
from service.models import GitHubHost, Intent, Outcome, Run, RunKind, Stage, StageKind, Want
from service.parts import Parts, make_parts
from service.settings import Settings
from service.stages.intents import append_intent
from service.stages.journal import Journal, events_prefix
from service.stages.wishes import Wish
from stagedoor.events import Event, EventKind
from tests.service.rows import T0, add_repository, add_stage
from tests.service.test_front_door import serve

SECRET = "a-secret-of-the-tests"


@pytest.fixture(scope="package")
def github() -> Iterator[LocalGitHub]:
    with LocalGitHub() as running:
        yield running


@pytest.fixture(scope="package")
def notes(github: LocalGitHub) -> LocalRepository:
    return github.create_repository("acme/notes", Path("examples/notes").absolute())


@pytest.fixture
def settings(github: LocalGitHub, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    return Settings(
        data_dir=tmp_path,
        database_url=database_url,
        github_app_id=github.app_id,
        github_private_key=github.private_key,
        github_webhook_secrets=SECRET,
        github_api_url=github.api_url,
        github_web_url=github.web_url,
    )


@pytest.fixture
def parts(settings: Settings) -> Iterator[Parts]:
    made = make_parts(settings)
    yield made
    made.engine.dispose()


@pytest.fixture
def client(parts: Parts) -> FlaskClient:
    return create_app(parts=parts).test_client()


@pytest.fixture
def preview(github: LocalGitHub, parts: Parts, notes: LocalRepository) -> int:
    """The id of a preview that the service has deployed."""
    return add_preview(github, parts.sessions, notes)


def add_preview(github: LocalGitHub, sessions: Sessions, notes: LocalRepository) -> int:
    """Add a preview of a repository that the App is installed on; return the stage's id."""
    with sessions.begin() as session:
        host = GitHubHost(name=github.web_url.removeprefix("http://"), api_url=github.api_url, web_url=github.web_url)
        repository = add_repository(
            session, "acme/notes", notes.number, host=host, installation_id=github.installation_id
        )
        stage = add_stage(session)
        stage.app.repository = repository
        append_intent(session, stage, Want.COMMIT, "opened", wish(stage))
        stage.done_generation = 1
        stage.live_commit = "c" * 40
        stage.outputs = {"Notes": {"Url": "https://notes.example.com/", "Table": "notes-1"}}
        return stage.id


def wish(stage: Stage, commit: str = "c" * 40) -> Wish:
    return Wish("notes", "pr-1", StageKind.PREVIEW, commit, stage.target_id, "preview", {"path": "."})


def add_run(
    sessions: Sessions, stage_id: int, outcome: Outcome | None = Outcome.SUCCEEDED, generation: int = 1, **more: Any
) -> int:
    """Add a run for what was wanted in a generation; return its id."""
    with sessions.begin() as session:
        stage = session.get_one(Stage, stage_id)
        intent = session.query(Intent).filter_by(stage_id=stage_id, generation=generation).one()
        run = Run(
            stage_id=stage.id,
            intent_id=intent.id,
            generation=generation,
            fence=1,
            kind=more.pop("kind", RunKind.DEPLOY),
            commit=intent.commit,
            started_at=T0,
            finished_at=T0 if outcome else None,
            outcome=outcome,
            **more,
        )
        session.add(run)
        session.flush()
        return run.id


def person(settings: Settings, login: str = "mona", user_id: int = 102) -> dict[str, str]:
    """Return the headers of somebody who is logged in; mona administers all of the local GitHub's repositories."""
    host = settings.github_web_url.removeprefix("http://")
    return {"Authorization": f"Bearer {Tokens.of(settings).mint(LoginToken(login, user_id, host))}"}


def machine(
    sessions: Sessions, stage: str = "pr-*", rights: tuple[Right, ...] = (Right.READ, Right.DEPLOY)
) -> dict[str, str]:
    """Return the headers of a machine with a token for the repository of the first stage."""
    with sessions.begin() as session:
        repository_id = session.query(Stage).first().app.repository_id
        _, secret = create(session, repository_id, "nightly", stage=stage, rights=rights, days=1, created_by="mona")
    return {"Authorization": f"Bearer {secret}"}


def address(stage: str | None = "pr-1", repository: str = "127.0.0.1/acme/notes") -> dict[str, str]:
    return {"repository": repository, "app": "notes"} | ({"stage": stage} if stage else {})


@dataclass(frozen=True)
class Asking:
    """Asks the API as somebody, and knows what a problem looks like."""

    client: FlaskClient
    headers: dict[str, str]

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> TestResponse:
        sent = {} if body is None else {"json": body}
        return self.client.open(
            BASE + path, method=method, headers={**self.headers, **more.pop("headers", {})}, **sent, **more
        )

    def get(self, path: str, **query: Any) -> Any:
        answer = self("GET", path, query_string=query)
        assert answer.status_code == 200, answer.text
        return answer.get_json()

    def post(self, path: str, body: Any = None, status: int = 202) -> Any:
        answer = self("POST", path, body)
        assert answer.status_code == status, answer.text
        return answer.get_json()


def problem(answer: TestResponse) -> tuple[int, str]:
    """Return status and id of a problem, and see that it is one."""
    said = answer.get_json()
    assert answer.content_type == "application/problem+json"
    assert said["status"] == answer.status_code
    assert (said["title"], said["detail"], said["type"]) == (
        said["what"],
        said["remedy"],
        f"urn:stagedoor:error:{said['id']}",
    )
    return answer.status_code, said["id"]


@pytest.fixture
def mona(client: FlaskClient, settings: Settings) -> Asking:
    return Asking(client, person(settings))


Message = tuple[str, str, Any]  # event, id, data


@dataclass
class Front:
    """A front door that is served, with a preview."""

    url: str
    parts: Parts
    stage: int
    headers: dict[str, str]

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        return requests.request(method, f"{self.url}/api/v1{path}", headers=headers, timeout=20, **more)

    def stream(self, path: str, after: str = "") -> Iterator[Message]:
        headers = {"Last-Event-ID": after} if after else {}
        with self.ask("GET", path, stream=True, headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield from messages(answer)

    def finish(self, run_id: int, outcome: Outcome, **more: Any) -> None:
        with self.parts.sessions.begin() as session:
            run = session.get_one(Run, run_id)
            run.outcome, run.finished_at = outcome, datetime.now(UTC)
            for name, value in more.items():
                setattr(run, name, value)
            if outcome in {Outcome.SUCCEEDED, Outcome.FAILED, Outcome.UNCHANGED}:
                stage = session.get_one(Stage, run.stage_id)
                stage.done_generation = max(stage.done_generation, run.generation)

    def want(self, commit: str) -> int:
        with self.parts.sessions.begin() as session:
            stage = session.get_one(Stage, self.stage)
            return append_intent(session, stage, Want.COMMIT, "pushed", wish(stage, commit)).generation


def messages(answer: requests.Response) -> Iterator[Message]:
    kind, place = "message", ""
    for line in answer.iter_lines(chunk_size=1):
        name, _, value = line.decode().partition(": ")
        if name == "id":
            place = value
        elif name == "event":
            kind = value
        elif name == "data":
            yield kind, place, json.loads(value)


@pytest.fixture(scope="module")
def front(github: LocalGitHub, notes: LocalRepository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("front"),
        github_app_id=github.app_id,
        github_private_key=github.private_key,
        github_webhook_secrets=SECRET,
        github_api_url=github.api_url,
        github_web_url=github.web_url,
        upload_bytes=3_000_000,
    )
    engine = make_engine(settings.database)
    migrate(engine)
    stage = add_preview(github, make_sessions(engine), notes)
    engine.dispose()
    server, thread, url = serve(settings)
    yield Front(url, make_parts(settings), stage, person(settings))
    server.should_exit = True
    thread.join()


def say(front: Front, run_id: int, *said: str, goes_on: bool = False) -> None:
    with Journal(front.parts.blobs, events_prefix(run_id), lambda _event: None, goes_on=goes_on) as journal:
        for message in said:
            journal.emit(Event(EventKind.LOG, "synth", message=message))
