"""Logging in and walking in, as the command line asks for them, with the local GitHub on the other side."""

import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from service.access.tokens import LoginToken, StageToken, Tokens
from service.app import create_app
from service.database import migrate
from service.models import GitHubHost, Stage, StageKind, Want
from service.parts import Parts, make_parts
from service.settings import Settings
from service.stages.intents import append_intent, apply_wishes, newest_intent
from service.stages.wishes import Wish, Wishes
from tests.service.rows import add_repository, add_source, add_stage

PLACE = {"path": ".", "account": "000000000001", "region": "us-east-1", "partition": "aws", "prefix": "notes-dev-1"}
FUNCTION = {"name": "notes-list", "arn": "arn:f", "role": "arn:r", "timeout_s": 10, "live": True, "place": "Notes|List"}


@pytest.fixture(scope="module")
def github() -> Iterator[LocalGitHub]:
    with LocalGitHub() as running:
        yield running


@pytest.fixture
def parts(github: LocalGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    made = make_parts(
        Settings(
            data_dir=tmp_path,
            github_app_id=github.app_id,
            github_private_key=github.private_key,
            github_webhook_secrets=github.webhook_secret,
            github_api_url=github.api_url,
            github_web_url=github.web_url,
        )
    )
    migrate(made.engine)
    return made


@pytest.fixture
def client(parts: Parts) -> FlaskClient:
    return create_app(parts=parts).test_client()


@pytest.fixture(scope="module")
def notes(github: LocalGitHub) -> LocalRepository:
    return github.create_repository("acme/notes", Path("examples/notes").absolute())


@pytest.fixture
def preview(github: LocalGitHub, parts: Parts, notes: LocalRepository) -> int:
    """The id of a preview that the service has deployed."""
    with parts.sessions.begin() as session:
        host = GitHubHost(name=github.web_url.removeprefix("http://"), api_url=github.api_url, web_url=github.web_url)
        repository = add_repository(
            session, "acme/notes", notes.number, host=host, installation_id=github.installation_id
        )
        stage = add_stage(session)
        stage.app.repository = repository
        append_intent(session, stage, Want.COMMIT, "opened", wish(stage))
        stage.done_generation = 1
        return stage.id


def wish(stage: Stage, commit: str = "c" * 40) -> Wish:
    return Wish("notes", "pr-1", StageKind.PREVIEW, commit, stage.target_id, "preview", {"path": "."})


def address(stage: str, repository: str = "127.0.0.1/acme/notes") -> dict[str, str]:
    return {"repository": repository, "app": "notes", "stage": stage}


def as_mona(parts: Parts, login: str = "mona", user_id: int = 102) -> dict[str, str]:
    host = parts.settings.github_web_url.removeprefix("http://")
    return {"Authorization": f"Bearer {Tokens.of(parts.settings).mint(LoginToken(login, user_id, host))}"}


def test_whoever_approves_at_github_is_logged_in(client: FlaskClient, parts: Parts) -> None:
    begun = client.post("/api/login").get_json()
    code = {"device_code": begun["device_code"]}
    assert client.post("/api/login/token", json=code).status_code == 202
    with urllib.request.urlopen(f"{begun['verification_uri']}?user_code={begun['user_code']}") as page:
        assert "You are logged in" in page.read().decode()
    done = client.post("/api/login/token", json=code).get_json()
    assert done["login"] == "mona"
    assert Tokens.of(parts.settings).verify(done["token"], LoginToken).user_id == 102
    again = client.post("/api/login/token", json=code)
    assert (again.status_code, again.get_json()["error"]["id"]) == (403, "login-failed")


def test_a_stage_of_ones_own_is_registered_and_no_worker_is_rung_for_it(
    client: FlaskClient, parts: Parts, preview: int
) -> None:
    own = client.put("/api/stages", json={**address("dev-mona"), **PLACE}, headers=as_mona(parts)).get_json()
    functions = {"functions": [FUNCTION]}
    assert client.put(f"/api/stages/{own['id']}/functions", json=functions, headers=as_mona(parts)).status_code == 204
    seen = client.get("/api/stages", query_string=address("dev-mona"), headers=as_mona(parts)).get_json()
    assert (seen["kind"], seen["owner"], seen["account"]) == ("personal", "mona", "000000000001")
    assert seen["functions"][0] == {**FUNCTION, "runtime": "", "handler": "", "reason": ""}
    token = client.post(f"/api/stages/{own['id']}/token", headers=as_mona(parts)).get_json()["token"]
    assert Tokens.of(parts.settings).verify(token, StageToken).developer == "mona"
    with parts.sessions() as session:
        stage = session.get_one(Stage, own["id"])
        assert (stage.wanted_generation, stage.done_generation, stage.lease_until) == (0, 0, None)


def test_a_branch_does_not_take_a_developers_stage(client: FlaskClient, parts: Parts, preview: int) -> None:
    client.put("/api/stages", json={**address("dev-mona"), **PLACE}, headers=as_mona(parts))
    with parts.sessions.begin() as session:
        stage = session.get_one(Stage, preview)
        source = add_source(session, stage.app.repository)
        branch = replace(wish(stage), stage="dev-mona", kind=StageKind.NAMED)
        apply_wishes(session, source, Wishes((branch,)), cause="pushed", again=False)
        own = session.scalars(select(Stage).where(Stage.name == "dev-mona")).one()
        assert (own.kind, own.wanted_generation) == (StageKind.PERSONAL, 0)


def test_walking_in_asks_for_one_more_deploy_and_a_push_keeps_the_bridges(
    client: FlaskClient, parts: Parts, preview: int
) -> None:
    for _ in range(2):  # the second developer finds the bridges there
        said = client.post(f"/api/stages/{preview}/live", json={"functions": ["*"]}, headers=as_mona(parts))
        assert (said.status_code, said.get_json()) == (202, {"generation": 2})
    with parts.sessions.begin() as session:
        stage = session.get_one(Stage, preview)
        asked = newest_intent(session, stage)
        assert asked is not None
        assert (asked.commit, asked.cause, asked.actor, asked.settings["live"]) == ("c" * 40, "live", "mona", ["*"])
        pushed = append_intent(session, stage, Want.COMMIT, "pushed", wish(stage, "d" * 40))
        assert pushed.settings == {"path": ".", "live": ["*"]}


@pytest.mark.parametrize(
    ("login", "user_id", "status", "error"),
    [("octocat", 7, 403, "no-write-permission"), ("mona", 999, 403, "no-write-permission")],
)
def test_only_who_may_write_is_let_in(
    client: FlaskClient, parts: Parts, preview: int, login: str, user_id: int, status: int, error: str
) -> None:
    headers = as_mona(parts, login, user_id)
    for answer in (
        client.get("/api/stages", query_string=address("pr-1"), headers=headers),
        client.post(f"/api/stages/{preview}/token", headers=headers),
        client.post(f"/api/stages/{preview}/live", json={"functions": ["*"]}, headers=headers),
        client.put("/api/stages", json={**address("dev-eve"), **PLACE}, headers=headers),
    ):
        assert (answer.status_code, answer.get_json()["error"]["id"]) == (status, error)


def test_what_is_not_there_or_not_ours_is_told_apart(client: FlaskClient, parts: Parts, preview: int) -> None:
    asked = {"query_string": address("pr-7"), "headers": as_mona(parts)}
    assert client.get("/api/stages", **asked).get_json()["error"]["id"] == "unknown-stage"
    assert client.get("/api/stages", query_string=address("pr-1")).get_json()["error"]["id"] == "not-logged-in"
    taken = client.put("/api/stages", json={**address("pr-1"), **PLACE}, headers=as_mona(parts))
    assert taken.get_json()["error"]["id"] == "stage-taken"


def test_a_service_that_aws_cannot_reach_says_so(
    client: FlaskClient, parts: Parts, preview: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    said = client.post(f"/api/stages/{preview}/live", json={"functions": ["*"]}, headers=as_mona(parts))
    assert (said.status_code, said.get_json()["error"]["id"]) == (409, "server-out-of-reach")


def test_a_repository_that_no_github_knows_is_welcome_on_this_machine_alone(
    client: FlaskClient, parts: Parts, preview: int
) -> None:
    mine = {**address("dev-mona", "local/scratch"), **PLACE}
    assert client.put("/api/stages", json=mine, headers=as_mona(parts)).status_code == 200
    object.__setattr__(parts.settings, "public_url", "https://stages.example.com")
    parts.settings.__dict__.pop("on_loopback", None)
    parts.settings.__dict__.pop("url", None)
    refused = client.put("/api/stages", json=mine | {"stage": "dev-2"}, headers=as_mona(parts))
    assert refused.get_json()["error"]["id"] in {"unknown-repository", "no-write-permission"}


def test_logins_are_begun_only_so_often(client: FlaskClient) -> None:
    statuses = [client.post("/api/login").status_code for _ in range(31)]
    assert (statuses[:30], statuses[30]) == ([200] * 30, 429)
