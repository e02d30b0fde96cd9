"""People: known by their login, let in by what GitHub says they may, asked of it once a minute. And the audit."""

from typing import Any

import pytest
from sqlalchemy import select

from service.access import permission
from service.access.audit import audit
from service.access.callers import Caller, CallerKind
from service.access.errors import Forbidden, GitHubAway, NotLoggedIn
from service.access.reach import Right
from service.access.tokens import LoginToken, StageToken, Tokens
from service.github.client import Permission, RepositoryClient
from service.github.errors import GitHubUnavailable
from service.models import Audit, Stage
from tests.service.access.conftest import World


def person(world: World, login: str = "mona", user_id: int = 102, host: str = "") -> Caller:
    there = host or world.parts.settings.github_web_url.removeprefix("http://")
    token = Tokens.of(world.parts.settings).mint(LoginToken(login, user_id, there))
    return world.callers.identify(f"Bearer {token}")


@pytest.mark.parametrize(
    ("says", "rights"),
    [
        ("admin", {Right.READ, Right.PLAN, Right.DEPLOY, Right.REMOVE, Right.ADMIN}),
        ("write", {Right.READ, Right.PLAN, Right.DEPLOY, Right.REMOVE}),
        ("read", set()),
        ("none", set()),
    ],
)
def test_people_may_what_github_says(world: World, says: str, rights: set[Right]) -> None:
    world.github.developer_permission = says
    caller = person(world)
    assert (caller.kind, caller.name) == (CallerKind.PERSON, "mona")
    assert {right for right in Right if world.callers.may(caller, world.repository_id, "pr-1", right)} == rights


def test_github_is_asked_once_a_minute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = RepositoryClient.permission

    def counted(client: RepositoryClient, login: str) -> Permission | None:
        asked.append(login)
        return real(client, login)

    monkeypatch.setattr(RepositoryClient, "permission", counted)
    time = [1000.0]
    monkeypatch.setattr(world.callers._permissions, "_clock", lambda: time[0])
    caller = person(world)
    for _ in range(5):
        world.callers.check(caller, world.repository_id, "main", Right.DEPLOY)
    assert asked == ["mona"]
    world.github.developer_permission = "none"
    time[0] += permission.REMEMBERED_SECONDS - 1
    assert world.callers.may(caller, world.repository_id, "main", Right.DEPLOY)
    time[0] += 1
    assert not world.callers.may(caller, world.repository_id, "main", Right.DEPLOY)
    assert (asked, permission.REMEMBERED_SECONDS) == (["mona", "mona"], 60)


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        ({"login": "octocat", "user_id": 7}, "GitHub says none"),
        ({"user_id": 999}, "GitHub says none"),  # the login is somebody else's by now
        ({"host": "github.example"}, "GitHub says none"),
    ],
)
def test_others_are_refused_in_one_way(world: World, who: dict[str, Any], reason: str) -> None:
    caller = person(world, **who)
    for repository_id, why in ((world.repository_id, reason), (999, "unknown repository")):
        with pytest.raises(Forbidden) as error:
            world.callers.check(caller, repository_id, "main", Right.READ)
        assert (error.value.what, error.value.remedy) == (Forbidden().what, Forbidden().remedy)
        assert world.log.reason == why


def test_what_is_remembered_of_somebody_is_not_of_their_namesake_on_another_github(world: World) -> None:
    assert world.callers.may(person(world), world.repository_id, "main", Right.DEPLOY)
    assert not world.callers.may(person(world, host="github.example"), world.repository_id, "main", Right.DEPLOY)


def test_a_github_that_is_away_lets_nobody_in(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: RepositoryClient, _login: str) -> None:
        raise GitHubUnavailable("no answer")

    monkeypatch.setattr(RepositoryClient, "permission", away)
    with pytest.raises(GitHubAway):
        world.callers.check(person(world), world.repository_id, "main", Right.READ)


def test_a_repository_that_is_not_there_is_refused_like_one_that_is(world: World) -> None:
    refusal = world.callers.unknown(person(world), "github.com/acme/secret")
    assert (refusal.what, refusal.status, world.log.reason) == (Forbidden().what, 403, "unknown repository")


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "no bearer token"),
        ("", "no bearer token"),
        ("Bearer", "no bearer token"),
        ("Bearer  ", "no bearer token"),
        ("Basic bW9uYTpt", "no bearer token"),
        ("Bearer x.y.z", "no token of ours, or over"),
        ("Bearer " + "a" * 20_000, "token too long"),
        ("Bearer \udcff", "no token of ours, or over"),
    ],
)
def test_whoever_is_not_known_is_told_one_thing(world: World, authorization: str | None, reason: str) -> None:
    with pytest.raises(NotLoggedIn) as error:
        world.callers.identify(authorization)
    assert (error.value.what, error.value.remedy) == (NotLoggedIn().what, NotLoggedIn().remedy)
    assert world.log.reason == reason


def test_a_token_for_something_else_is_no_login(world: World) -> None:
    token = Tokens.of(world.parts.settings).mint(StageToken(1, "mona", 102, "github.com"))
    with pytest.raises(NotLoggedIn):
        world.callers.identify(f"Bearer {token}")


def test_the_audit_says_who_did_what_to_which_stage(world: World) -> None:
    run = world.callers.identify(f"Bearer {world.exchange(world.token())['token']}")
    with world.parts.sessions.begin() as session:
        stage = session.scalars(select(Stage).where(Stage.name == "main")).one()
        audit(session, person(world), "remove", stage_id=stage.id)
        audit(session, run, "deploy", stage_id=stage.id, data={"commit": "c" * 40})
        audit(session, "x" * 300, "y" * 100, subject="z" * 300)
    with world.parts.sessions() as session:
        rows = session.scalars(select(Audit).order_by(Audit.id)).all()
    assert [(row.actor, row.action, row.stage_id) for row in rows[:2]] == [
        ("mona", "remove", stage.id),
        ("actions:acme/notes#4242", "deploy", stage.id),
    ]
    assert rows[1].data == {
        **{"by": "mona", "attempt": 1, "ref": "refs/heads/main", "sha": "c" * 40},
        "commit": "c" * 40,
    }
    assert (len(rows), len(rows[2].actor), len(rows[2].action), len(rows[2].subject)) == (3, 255, 64, 255)
