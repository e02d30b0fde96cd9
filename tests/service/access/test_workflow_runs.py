"""Workflows of GitHub Actions that are let in: what their tokens are good for, and that each is taken once."""

import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from service.access.callers import Caller, Callers
from service.access.errors import Forbidden, GitHubAway, NotLoggedIn
from service.access.reach import Right
from service.access.tokens import RUN_SECONDS, RunToken, Tokens
from service.app import create_app
from service.database import now
from service.github.client import RepositoryClient
from service.github.errors import GitHubUnavailable
from service.models import Installation, Intent, Stage, UsedJti, Want
from tests.oidc_issuer import JobClaims
from tests.service.access.conftest import AUDIENCE, World
from tests.service.rows import T0


def let_in(world: World, job: JobClaims, command: str = "deploy") -> Caller:
    return world.callers.identify(f"Bearer {world.exchange(world.token(job), command)['token']}")


def reached(world: World, job: JobClaims, right: Right = Right.DEPLOY) -> set[str]:
    """The stages that a run has a right to."""
    caller = let_in(world, job, "remove" if right is Right.REMOVE else "deploy")
    names = ("pr-1", "pr-2", "pr-3", "main", "demo", "dev-mona", "later", "staging-eu")
    return {name for name in names if world.callers.may(caller, world.repository_id, name, right)}


def test_a_push_is_let_in_for_the_stage_of_its_branch(world: World) -> None:
    said = world.exchange(world.token())
    assert {name: said[name] for name in ("expires_in", "repository", "stage", "rights")} == {
        "expires_in": RUN_SECONDS,
        "repository": "127.0.0.1/acme/notes",
        "stage": "main",
        "rights": ["deploy", "read"],
    }
    claims = Tokens.of(world.parts.settings).verify(said["token"], RunToken)
    assert (claims.run_id, claims.run_attempt, claims.sha, claims.actor) == (4242, 1, "c" * 40, "mona")


@pytest.mark.parametrize(
    "job",
    [
        lambda job: replace(job, immutable_sub=False),
        lambda job: replace(job, immutable_sub=True),
        lambda job: replace(job, more={"sub": "repository_owner:acme:job_workflow_ref:anything"}),
        lambda job: replace(job, repository="acme/renamed"),  # names change, ids do not
        lambda job: replace(job, event="workflow_dispatch"),
    ],
    ids=["old sub", "immutable sub", "templated sub", "renamed", "dispatched"],
)
def test_it_is_the_ids_that_count(world: World, job) -> None:
    assert reached(world, job(world.job)) == {"main"}


def test_what_a_run_reaches(world: World, github_of_callers: tuple[LocalGitHub, LocalRepository, int, int]) -> None:
    _, _, own, foreign = github_of_callers
    assert (own, foreign) == (1, 2)
    into_production: dict[str, Any] = {"environment": "production"}  # case is nothing to GitHub, nor to us
    for job, stages in (
        (world.job, {"main"}),
        (world.branch("later"), {"later"}),  # a stage that is not there yet
        (world.branch("dev-mona"), set()),  # a developer's own stage is nobody's branch
        (world.branch("pr-1"), set()),
        (world.branch("feature/x"), set()),
        (world.branch("later", **into_production), {"later", "main"}),
        (world.branch("later", environment="preview"), {"later"}),  # the environment of everything proves nothing
        (replace(world.job, ref="refs/tags/v1", **into_production), {"main"}),
        (world.pull(own), {"pr-1"}),
        (world.pull(own, **into_production), {"pr-1"}),  # nobody has merged it
        (world.pull(own, event="pull_request_review"), set()),
        (world.pull(foreign), set()),
        (replace(world.job, event="pull_request"), set()),  # merged
    ):
        assert reached(world, job) == stages, (job.event, job.ref, job.environment)
    world.log.refusals.clear()


def test_who_may_not_change_may_read_what_is_theirs(world: World) -> None:
    assert reached(world, world.pull(2), Right.READ) == {"pr-2"}
    assert reached(world, world.pull(1, event="pull_request_review"), Right.READ) == {"pr-1"}
    assert reached(world, replace(world.job, event="pull_request"), Right.READ) == {"pr-1", "pr-2", "pr-3"}


def test_a_run_gets_the_rights_that_its_command_needs(world: World) -> None:
    for command, rights in (("deploy", "deploy read"), ("remove", "read remove"), ("diff", "plan read"), ("", "read")):
        said = world.exchange(world.token(), command)
        assert " ".join(said["rights"]) == rights
    assert reached(world, world.job, Right.REMOVE) == {"main"}


def test_a_run_that_compares_deploys_nothing_and_one_that_deploys_compares(world: World) -> None:
    assert reached(world, world.job, Right.PLAN) == {"main"}
    compares = let_in(world, world.job, "diff")
    world.callers.check(compares, world.repository_id, "main", Right.PLAN, commit="c" * 40)
    for right, commit, reason in (
        (Right.DEPLOY, "c" * 40, "right not given"),
        (Right.PLAN, "d" * 40, "another commit than the run's"),
    ):
        with pytest.raises(Forbidden):
            world.callers.check(compares, world.repository_id, "main", right, commit=commit)
        assert world.log.reason == reason


def test_a_pull_request_is_compared_with_a_lasting_stage_that_is_open_for_that_and_with_no_other(
    world: World, github_of_callers: tuple[LocalGitHub, LocalRepository, int, int]
) -> None:
    _, _, own, foreign = github_of_callers
    assert reached(world, world.pull(own), Right.PLAN) == {"pr-1"}
    with world.parts.sessions.begin() as session:
        for stage in session.scalars(select(Stage).where(Stage.name.in_(["main", "demo"]))):
            said = {"pull_requests": "diff"} if stage.name == "main" else {}
            stage.wanted_generation += 1
            generation = stage.wanted_generation
            intent = Intent(stage_id=stage.id, generation=generation, want=Want.COMMIT, cause="pushed", created_at=T0)
            intent.settings = said
            session.add(intent)
    assert reached(world, world.pull(own), Right.PLAN) == {"pr-1", "main"}
    for right in (Right.READ, Right.DEPLOY, Right.REMOVE):
        assert reached(world, world.pull(own), right) == {"pr-1"}, right
    assert reached(world, world.pull(foreign), Right.PLAN) == set()
    assert reached(world, world.branch("later"), Right.PLAN) == {"later"}, "it is open for pull requests alone"


def test_a_branch_deploys_its_own_commit_only(world: World) -> None:
    caller = let_in(world, world.job)
    world.callers.check(caller, world.repository_id, "main", Right.DEPLOY, commit="c" * 40)
    with pytest.raises(Forbidden):
        world.callers.check(caller, world.repository_id, "main", Right.DEPLOY, commit="d" * 40)
    assert world.log.reason == "another commit than the run's"


def test_a_stage_that_another_branch_was_there_first_with_is_out_of_reach(world: World) -> None:
    caller = let_in(world, world.job)
    run = caller.who
    assert isinstance(run, RunToken)
    elsewhere = replace(caller, who=replace(run, ref="refs/heads/Main", stage="main"))
    with pytest.raises(Forbidden):
        world.callers.check(elsewhere, world.repository_id, "main", Right.DEPLOY)
    assert world.log.reason == "stage of another ref"


@pytest.mark.parametrize(
    ("stage", "right", "elsewhere", "reason"),
    [
        ("pr-1", Right.DEPLOY, 0, "stage out of reach"),
        ("main", Right.REMOVE, 0, "right not given"),
        (None, Right.ADMIN, 0, "right not given"),
        ("main", Right.DEPLOY, 1, "another repository"),
    ],
)
def test_whoever_may_not_is_told_so_and_no_more(
    world: World, stage: str | None, right: Right, elsewhere: int, reason: str
) -> None:
    caller = let_in(world, world.job)
    with pytest.raises(Forbidden) as error:
        world.callers.check(caller, world.repository_id + elsewhere, stage, right)
    assert error.value.what == Forbidden().what
    assert world.log.reason == reason


def test_an_installation_that_is_suspended_ends_what_its_runs_may(world: World) -> None:
    caller = let_in(world, world.job)
    token = world.token()
    with world.parts.sessions.begin() as session:
        session.execute(update(Installation).values(suspended_at=now(session)))
    assert world.refused(token) == "the App is not installed there"
    with pytest.raises(Forbidden):
        world.callers.check(caller, world.repository_id, "main", Right.READ)


def test_a_github_that_is_away_is_said_to_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: RepositoryClient) -> int:
        raise GitHubUnavailable("no answer")

    monkeypatch.setattr(RepositoryClient, "owner_id", away)
    with pytest.raises(GitHubAway):
        world.exchange(world.token())


def test_a_run_asks_as_the_action_does(world: World) -> None:
    asked = world.issuer.job_environment(world.job)
    url = f"{asked['ACTIONS_ID_TOKEN_REQUEST_URL']}&audience={AUDIENCE}"
    bearer = {"Authorization": f"bearer {asked['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=bearer)) as answer:
        token = json.load(answer)["value"]
    assert world.exchange(token)["stage"] == "main"


def test_over_http_a_run_sees_its_own_stage_and_nothing_else(world: World) -> None:
    client = create_app(parts=world.parts).test_client()
    said = client.post("/api/v1/actions/token", json={"token": world.token(world.pull(1)), "command": "deploy"})
    assert (said.status_code, said.get_json()["stage"]) == (200, "pr-1")
    bearer = {"Authorization": f"Bearer {said.get_json()['token']}"}
    stages = client.get("/api/v1/stages?repository=127.0.0.1/acme/notes", headers=bearer).get_json()["stages"]
    assert [stage["name"] for stage in stages] == ["pr-1"]
    again = client.post("/api/v1/actions/token", json={"token": "a.b.c", "command": "deploy"})
    assert (again.status_code, again.get_json()["id"]) == (401, "not-logged-in")
    assert world.log.refusals[-1]["address"] == "127.0.0.1"


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_of_many_who_show_a_token_at_once_one_is_let_in(world: World) -> None:
    world.exchange(world.token())
    token = world.token()

    def show(_: int) -> bool:
        try:
            return bool(Callers.of(world.parts).exchange(token, {"command": "deploy"}))
        except NotLoggedIn:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(show, range(8))) == [False] * 7 + [True]
    assert {said["reason"] for said in world.log.refusals} == {"shown before"}


SHOW = """
import sys
from service.access.callers import Callers
from service.access.errors import NotLoggedIn
from service.parts import make_parts
from service.settings import Settings
callers = Callers.of(make_parts(Settings()))
print("ready", flush=True)
token = sys.stdin.readline().strip()
try:
    callers.exchange(token, {"command": "deploy"})
    print("let in")
except NotLoggedIn:
    print("refused")
"""


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_two_processes_one_takes_a_token(world: World, tmp_path: Path) -> None:
    settings = world.parts.settings
    environment = {
        "PATH": "/usr/bin:/bin",
        "STAGEDOOR_DATABASE_URL": settings.database,
        "STAGEDOOR_PUBLIC_URL": AUDIENCE,
        "STAGEDOOR_OIDC_ISSUERS": world.issuer.url,
        "STAGEDOOR_GITHUB_APP_ID": str(settings.github_app_id),
        "STAGEDOOR_GITHUB_PRIVATE_KEY": settings.private_key,
        "STAGEDOOR_GITHUB_API_URL": settings.github_api_url,
        "STAGEDOOR_GITHUB_WEB_URL": settings.github_web_url,
        "STAGEDOOR_DATA_DIR": str(tmp_path),
    }
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen([sys.executable, "-c", SHOW], env=environment, text=True, **pipes) for _ in range(2)]
    try:
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
        token = world.token()
        for process in processes:
            process.stdin.write(f"{token}\n")
            process.stdin.flush()
        said = sorted(process.communicate(timeout=20)[0].split("\n")[-2] for process in processes)
    finally:
        for process in processes:
            process.kill()
    assert said == ["let in", "refused"]


def test_what_was_shown_is_forgotten_when_it_is_over_anyway(world: World) -> None:
    world.exchange(world.token())
    with world.parts.sessions.begin() as session:
        session.execute(update(UsedJti).values(expires_at=now(session)))
    world.exchange(world.token())
    with world.parts.sessions() as session:
        assert session.scalar(select(func.count()).select_from(UsedJti)) == 1


def test_strangers_fill_no_table(world: World) -> None:
    assert world.refused(world.token(replace(world.job, repository_id=777))) == "unknown repository"
    with world.parts.sessions() as session:
        assert session.scalar(select(func.count()).select_from(UsedJti)) == 0
