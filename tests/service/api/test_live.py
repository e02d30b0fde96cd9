"""Logging in and walking in, as the command line asks for them, with the local GitHub on the other side."""

import urllib.request
from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from service.access.tokens import LoginToken, StageToken, Tokens
from service.models import Audit, Repository, Stage, StageKind, Want
from service.parts import Parts
from service.settings import Settings
from service.stages.intents import append_intent, apply_wishes, newest_intent
from service.stages.wishes import Wishes
from tests.service.api.conftest import Asking, Front, address, machine, person, problem, wish
from tests.service.rows import add_source

PLACE = {"path": ".", "account": "000000000001", "region": "us-east-1", "partition": "aws", "prefix": "notes-dev-1"}
FUNCTION = {"name": "notes-list", "arn": "arn:f", "role": "arn:r", "timeout_s": 10, "live": True, "place": "Notes|List"}


def test_whoever_approves_at_github_is_logged_in(client: FlaskClient, parts: Parts) -> None:
    anybody = Asking(client, {})
    begun = anybody.post("/login", status=200)
    code = {"device_code": begun["device_code"]}
    assert anybody.post("/login/poll", code) == {"wait": 5}
    with urllib.request.urlopen(f"{begun['verification_uri']}?user_code={begun['user_code']}") as page:
        assert "You are logged in" in page.read().decode()
    done = anybody.post("/login/poll", code, status=200)
    assert done["login"] == "mona"
    assert Tokens.of(parts.settings).verify(done["token"], LoginToken).user_id == 102
    assert problem(anybody("POST", "/login/poll", code)) == (403, "login-failed")


def test_a_stage_of_ones_own_is_registered_and_no_worker_is_rung_for_it(
    mona: Asking, parts: Parts, preview: int
) -> None:
    own = mona("PUT", "/stages", {**address("dev-mona"), **PLACE}).get_json()
    assert mona("PUT", f"/stages/{own['id']}/functions", {"functions": [FUNCTION]}).status_code == 204
    (seen,) = mona.get("/stages", **address("dev-mona"))["stages"]
    assert (seen["kind"], seen["owner"], seen["account"], seen["state"]) == ("personal", "mona", "000000000001", "own")
    (function,) = mona.get(f"/stages/{own['id']}/functions")["functions"]
    assert function == {**FUNCTION, "runtime": "", "handler": "", "reason": ""}
    token = mona.post(f"/stages/{own['id']}/token", status=200)["token"]
    assert Tokens.of(parts.settings).verify(token, StageToken).developer == "mona"
    with parts.sessions() as session:
        stage = session.get_one(Stage, own["id"])
        assert (stage.wanted_generation, stage.done_generation, stage.lease_until) == (0, 0, None)
        actions = [(row.actor, row.action) for row in session.scalars(select(Audit).order_by(Audit.id))]
    assert actions == [("mona", "register"), ("mona", "register-functions"), ("mona", "walk-in")]


def test_two_stages_do_not_share_their_stacks(mona: Asking, preview: int) -> None:
    assert mona("PUT", "/stages", {**address("dev-1"), **PLACE}).status_code == 200
    assert problem(mona("PUT", "/stages", {**address("dev-2"), **PLACE})) == (409, "stage-taken")


def test_a_branch_does_not_take_a_developers_stage(mona: Asking, parts: Parts, preview: int) -> None:
    mona("PUT", "/stages", {**address("dev-mona"), **PLACE})
    with parts.sessions.begin() as session:
        stage = session.get_one(Stage, preview)
        source = add_source(session, stage.app.repository)
        branch = replace(wish(stage), stage="dev-mona", kind=StageKind.NAMED)
        apply_wishes(session, source, Wishes((branch,)), cause="pushed", again=False)
        own = session.scalars(select(Stage).where(Stage.name == "dev-mona")).one()
        assert (own.kind, own.wanted_generation) == (StageKind.PERSONAL, 0)


def test_walking_in_asks_for_one_more_deploy_and_a_push_keeps_the_bridges(
    mona: Asking, parts: Parts, preview: int
) -> None:
    for _ in range(2):  # the second developer finds the bridges there
        assert mona.post(f"/stages/{preview}/live", {"functions": ["*"]}) == {"generation": 2}
    with parts.sessions.begin() as session:
        stage = session.get_one(Stage, preview)
        asked = newest_intent(session, stage)
        assert asked is not None
        assert (asked.commit, asked.cause, asked.actor, asked.settings["live"]) == ("c" * 40, "live", "mona", ["*"])
        pushed = append_intent(session, stage, Want.COMMIT, "pushed", wish(stage, "d" * 40))
        assert pushed.settings == {"path": ".", "live": ["*"]}


@pytest.mark.parametrize(("login", "user_id"), [("octocat", 7), ("mona", 999)])
def test_only_who_may_write_is_let_in(
    client: FlaskClient, parts: Parts, preview: int, login: str, user_id: int
) -> None:
    stranger = Asking(client, person(parts.settings, login, user_id))
    for answer in (
        stranger("GET", "/stages", query_string=address("pr-1")),
        stranger("GET", "/stages", query_string=address("pr-1", "127.0.0.1/acme/other")),
        stranger("POST", f"/stages/{preview}/token"),
        stranger("POST", f"/stages/{preview}/live", {"functions": ["*"]}),
        stranger("PUT", "/stages", {**address("dev-eve"), **PLACE}),
    ):
        assert problem(answer) == (403, "forbidden")


def test_a_machine_has_no_tunnel(client: FlaskClient, parts: Parts, preview: int) -> None:
    nightly = Asking(client, machine(parts.sessions))
    assert problem(nightly("POST", f"/stages/{preview}/token")) == (403, "people-only")
    assert problem(nightly("PUT", "/stages", {**address("dev-nightly"), **PLACE})) == (403, "people-only")


def test_what_is_not_there_or_not_ours_is_told_apart(mona: Asking, client: FlaskClient, preview: int) -> None:
    assert problem(mona("GET", "/stages", query_string=address("pr-7"))) == (404, "unknown-stage")
    assert problem(Asking(client, {})("GET", "/stages", query_string=address())) == (401, "not-logged-in")
    assert problem(mona("PUT", "/stages", {**address("pr-1"), **PLACE})) == (409, "stage-taken")


def test_a_service_that_aws_cannot_reach_says_so(mona: Asking, preview: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    said = mona("POST", f"/stages/{preview}/live", {"functions": ["*"]})
    assert problem(said) == (409, "server-out-of-reach")


def test_a_repository_that_no_github_knows_is_welcome_on_this_machine_alone(
    mona: Asking, parts: Parts, preview: int
) -> None:
    mine = {**address("dev-mona", "local/scratch"), **PLACE}
    assert mona("PUT", "/stages", mine).status_code == 200
    object.__setattr__(parts.settings, "public_url", "https://stages.example.com")
    parts.settings.__dict__.pop("on_loopback", None)
    parts.settings.__dict__.pop("url", None)
    assert problem(mona("PUT", "/stages", mine | {"stage": "dev-2"})) == (403, "forbidden")


@pytest.mark.parametrize("came_by", [{"X-Forwarded-For": "203.0.113.9"}, {"Host": "abc.example-tunnel.dev"}])
def test_through_a_tunnel_nobody_has_what_is_of_this_machine_alone(
    mona: Asking, client: FlaskClient, settings: Settings, parts: Parts, preview: int, came_by: dict[str, str]
) -> None:
    mine = {**address("dev-mona", "local/scratch"), **PLACE}
    own = mona("PUT", "/stages", mine).get_json()["id"]
    for who in (("eve", 103), ("mona", 102)):
        asking = Asking(client, person(settings, *who) | came_by)
        for method, path, body in (
            ("POST", f"/stages/{own}/token", None),
            ("GET", f"/stages/{own}", None),
            ("PUT", "/stages", mine),
            ("PUT", "/stages", {**address("dev-eve", "local/hers"), **PLACE}),
        ):
            assert problem(asking(method, path, body)) == (403, "forbidden"), path
    with parts.sessions() as session:
        local = select(Repository.full_name).where(Repository.full_name.like("local/%"))
        assert session.scalars(local).all() == ["local/scratch"]
    assert mona("GET", f"/stages/{preview}", headers=came_by).status_code == 200
    assert mona("POST", f"/stages/{own}/token").status_code == 200


def test_nor_has_anybody_its_streams(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    own = front.ask("PUT", "/stages", json={**address("dev-mona", "local/scratch"), **PLACE}).json()["id"]
    by_tunnel = {"X-Forwarded-For": "203.0.113.9"}
    assert front.ask("GET", f"/stages/{own}/stream", headers=by_tunnel).status_code == 403
    assert front.ask("GET", f"/stages/{own}/stream").status_code == 200
