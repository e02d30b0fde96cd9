"""Plans over the API: who may ask for one, what is answered, and what is written down of it."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
import requests
from flask.testing import FlaskClient
from sqlalchemy import select

from service.access.reach import Right
from service.access.tokens import RunToken, Tokens
from service.models import App, Outcome, PlanRow, Source, Stage, StageKind, Want
from service.parts import Parts
from service.stages.intents import append_intent
from service.stages.journal import Journal
from service.stages.plans import events_of_plan
from stagedoor.events import Event, EventKind
from stagedoor.target import Trust
from tests.service.api.conftest import Asking, Front, add_run, address, machine, problem, wish
from tests.service.api.test_stages import add_assembly, add_sibling, audited, wanted
from tests.service.rows import T0, add_source

NEW = "d" * 40


def finish(parts: Parts, plan_id: int, said: bytes = b'{"unchanged": false, "refusals": [], "stacks": []}') -> None:
    with parts.sessions.begin() as session:
        plan = session.get_one(PlanRow, plan_id)
        plan.outcome, plan.phase, plan.blob, plan.finished_at = (
            Outcome.SUCCEEDED,
            "plan",
            f"plans/{plan_id}/plan.json",
            plan.created_at,
        )
    parts.blobs.put(f"plans/{plan_id}/plan.json", said)


def test_a_plan_is_asked_for_read_and_listed_and_nothing_else_is_wanted(
    mona: Asking, parts: Parts, preview: int
) -> None:
    before = wanted(parts.sessions, preview)
    asked = mona.post("/plans", address() | {"commit": NEW})
    assert asked == {"plan": asked["plan"], "stage": preview, "new": True}
    assert mona.post("/plans", address() | {"commit": NEW}) == {**asked, "new": False}
    assert wanted(parts.sessions, preview) == before
    unmade = mona.get(f"/plans/{asked['plan']}")
    assert (unmade["outcome"], unmade["plan"], unmade["commit"], unmade["actor"]) == (None, None, NEW, "mona")
    finish(parts, asked["plan"])
    assert mona.get(f"/plans/{asked['plan']}")["plan"] == {"unchanged": False, "refusals": [], "stacks": []}
    parts.blobs.delete(f"plans/{asked['plan']}/plan.json")
    assert mona.get(f"/plans/{asked['plan']}")["plan"] is None, "the store was lost"
    (listed,) = mona.get(f"/stages/{preview}/plans")["plans"]
    assert (listed["id"], listed["outcome"], "plan" in listed) == (asked["plan"], "succeeded", False)
    assert audited(parts.sessions) == [("mona", "plan", preview, f"plan {asked['plan']}")] * 2
    assert not mona.post(f"/plans/{asked['plan']}/cancel")["cancelled"]


def test_an_assembly_and_what_a_run_deployed_can_be_compared(mona: Asking, parts: Parts, preview: int) -> None:
    assembly = add_assembly(parts.sessions, preview)
    run = add_run(parts.sessions, preview, Outcome.SUCCEEDED, assembly_id=assembly)
    add_sibling(parts.sessions, preview, "staging")
    by_run = mona.post("/plans", address("staging") | {"run": run})
    assert mona.get(f"/plans/{by_run['plan']}")["assembly"] == assembly
    assert mona.post("/plans", address("staging") | {"assembly": assembly}) == {**by_run, "new": False}
    add_sibling(parts.sessions, preview, "prod", Trust.PRODUCTION)
    assert problem(mona("POST", "/plans", address("prod") | {"run": run})) == (409, "promotion-refused")


def test_what_is_not_there_or_not_clear_says_so(mona: Asking, parts: Parts, preview: int) -> None:
    for body in ({}, {"commit": NEW, "run": 1}, {"commit": "main"}, {"run": 0}):
        assert problem(mona("POST", "/plans", address() | body)) == (422, "invalid-request")
    assert problem(mona("POST", "/plans", address() | {"run": 4711})) == (404, "unknown-run")
    assert problem(mona("POST", "/plans", address() | {"assembly": 4711})) == (404, "unknown-assembly")
    assert problem(mona("POST", "/plans", address("pr-4711") | {"commit": NEW})) == (404, "unknown-stage")
    for method, path in (("GET", "/plans/4711"), ("POST", "/plans/4711/cancel")):
        assert problem(mona(method, path)) == (404, "unknown-plan")
    with parts.sessions.begin() as session:
        session.get_one(Stage, preview).kind = StageKind.PERSONAL
    assert problem(mona("POST", "/plans", address() | {"commit": NEW})) == (409, "stage-taken")


def test_more_than_a_few_at_a_time_are_too_many(mona: Asking, parts: Parts, preview: int) -> None:
    for number in range(10):
        mona.post("/plans", address() | {"commit": f"{number:040x}"})
    refused = mona("POST", "/plans", address() | {"commit": NEW})
    assert problem(refused) == (429, "too-many-plans")
    assert refused.headers["Retry-After"]
    with parts.sessions() as session:
        some = session.scalars(select(PlanRow.id).limit(1)).one()
    assert mona.post(f"/plans/{some}/cancel") == {"plan": some, "cancelled": True}
    mona.post("/plans", address() | {"commit": NEW})


@pytest.mark.parametrize(
    ("rights", "status"),
    [((Right.READ,), 403), ((Right.READ, Right.PLAN), 202), ((Right.READ, Right.DEPLOY), 202), ((Right.PLAN,), 202)],
)
def test_to_compare_is_a_right_of_its_own_that_comes_with_deploying(
    client: FlaskClient, parts: Parts, preview: int, rights: tuple[Right, ...], status: int
) -> None:
    asking = Asking(client, machine(parts.sessions, "pr-*", rights))
    asked = asking("POST", "/plans", address() | {"commit": NEW})
    assert asked.status_code == status
    deployed = asking("POST", f"/stages/{preview}/deploys", {"commit": NEW}).status_code
    assert deployed == (202 if Right.DEPLOY in rights else 403)
    if status == 202:
        read = asking("GET", f"/plans/{asked.get_json()['plan']}").status_code
        assert read == (200 if Right.READ in rights else 403)
    add_sibling(parts.sessions, preview, "staging")
    assert problem(asking("POST", "/plans", address("staging") | {"commit": NEW})) == (403, "forbidden")


@pytest.fixture
def unmade(front: Front) -> Iterator[int]:
    answer = front.ask("POST", "/plans", json=address() | {"commit": NEW})
    assert answer.status_code == 202, answer.text
    yield answer.json()["plan"]
    front.ask("POST", f"/plans/{answer.json()['plan']}/cancel")


def test_a_plan_is_followed_to_its_end_and_from_where_it_was_cut(front: Front, unmade: int) -> None:
    with Journal(front.parts.blobs, events_of_plan(unmade), lambda _event: None) as journal:
        for word in ("one", "two"):
            journal.emit(Event(EventKind.LOG, "synth", message=word))
    stream = front.stream(f"/plans/{unmade}/stream")
    said = [next(stream) for _ in range(3)]
    assert [kind for kind, _, _ in said] == ["plan", "log", "log"]
    finish(front.parts, unmade)
    (end,) = stream
    assert (end[0], end[2]["outcome"], end[2]["changed"], end[2]["plan"]) == ("end", "succeeded", True, unmade)
    again = list(front.stream(f"/plans/{unmade}/stream", said[1][1]))
    assert [(kind, data.get("message")) for kind, _, data in again] == [("log", "two"), ("end", None)]
    elsewhere = list(front.stream(f"/plans/{unmade}/stream", "4711.1.1"))
    assert [kind for kind, _, _ in elsewhere] == ["plan", "log", "log", "end"]


def pull_run(parts: Parts, preview: int, *, sha: str = NEW) -> dict[str, str]:
    """The headers of a pull request's run, which was let in for `diff`."""
    with parts.sessions() as session:
        repository_id = session.get_one(Stage, preview).app.repository_id
    token = RunToken(repository_id, 7, 1, "pull_request", "refs/pull/1/merge", sha, "", "mona", "plan read", "pr-1")
    return {"Authorization": f"Bearer {Tokens.of(parts.settings).mint(token)}"}


def heard_of(parts: Parts, preview: int, commit: str) -> None:
    """Have the pull request's newest commit known."""
    with parts.sessions.begin() as session:
        stage = session.get_one(Stage, preview)
        found = session.scalars(select(Source).where(Source.ref == "1")).one_or_none()
        source = found or add_source(session, stage.app.repository)
        source.head_sha, stage.source_id = commit, source.id


def test_a_pull_requests_run_compares_its_newest_commit_with_what_is_open_for_that(
    client: FlaskClient, parts: Parts, preview: int
) -> None:
    main = add_sibling(parts.sessions, preview, "main", Trust.PRODUCTION)
    merge = "e" * 40
    asking = Asking(client, pull_run(parts, preview, sha=merge))
    assert problem(asking("POST", "/plans", address("main") | {"commit": merge})) == (403, "forbidden")
    with parts.sessions.begin() as session:
        stage = session.get_one(Stage, main)
        append_intent(session, stage, Want.COMMIT, "pushed", replace(wish(stage), settings={"pull_requests": "diff"}))
    assert problem(asking("POST", "/plans", address("main") | {"commit": NEW})) == (409, "commit-not-wanted")
    with parts.sessions() as session:
        source = session.scalars(select(Source).where(Source.ref == "1")).one()
        assert source.generation > source.done_generation, "GitHub is asked what is newest"
    assert asking.post("/plans", address("main") | {"commit": merge})["stage"] == main, "GitHub says whose it is"
    heard_of(parts, preview, NEW)
    asked = asking.post("/plans", address("main") | {"commit": NEW})
    assert asked["stage"] == main
    assert asking.get(f"/plans/{asked['plan']}")["stage_name"] == "main"
    assert problem(asking("GET", f"/stages/{main}")) == (403, "forbidden")
    assert problem(asking("POST", f"/stages/{main}/deploys", {"commit": NEW})) == (403, "forbidden")
    with parts.sessions() as session:
        assert session.get_one(PlanRow, asked["plan"]).unmerged
        others = PlanRow(stage_id=main, want=Want.COMMIT, commit=NEW, unmerged=False, actor="mona", created_at=T0)
        session.add(others)
        session.commit()
        other = others.id
    assert problem(asking("GET", f"/plans/{other}")) == (403, "forbidden"), "a plan that somebody else asked for"
    assert asking.post(f"/plans/{asked['plan']}/cancel")["cancelled"]


def test_where_a_workflow_makes_the_assemblies_a_pull_request_is_compared_with_its_own_stage_alone(
    client: FlaskClient, parts: Parts, preview: int
) -> None:
    main = add_sibling(parts.sessions, preview, "main")
    settings = {"pull_requests": "diff", "synth": "actions"}
    with parts.sessions.begin() as session:
        for stage_id in (main, preview):
            stage = session.get_one(Stage, stage_id)
            append_intent(session, stage, Want.COMMIT, "pushed", replace(wish(stage), settings=settings))
    heard_of(parts, preview, NEW)
    asking = Asking(client, pull_run(parts, preview))
    assert problem(asking("POST", "/plans", address("main") | {"commit": NEW})) == (409, "diff-by-workflow")
    asking.post("/plans", address() | {"commit": NEW})


def test_who_could_not_deploy_a_commit_has_it_run_as_a_previews(
    client: FlaskClient, mona: Asking, parts: Parts, preview: int
) -> None:
    watching = Asking(client, machine(parts.sessions, "pr-*", (Right.READ, Right.PLAN)))
    for asking, unmerged in ((mona, False), (watching, True)):
        asked = asking.post("/plans", address() | {"commit": NEW})
        with parts.sessions() as session:
            assert session.get_one(PlanRow, asked["plan"]).unmerged is unmerged


def test_of_several_apps_one_has_to_be_named(mona: Asking, parts: Parts, preview: int) -> None:
    with parts.sessions.begin() as session:
        beside = session.get_one(Stage, preview)
        app = App(repository_id=beside.app.repository_id, name="other", created_at=T0)
        session.add(app)
        session.flush()
        values = {c.name: getattr(beside, c.name) for c in Stage.__table__.columns if c.name not in ("id", "app_id")}
        session.add(Stage(**{**values, "app_id": app.id, "prefix": "other"}))
    body = {name: value for name, value in address().items() if name != "app"} | {"commit": NEW}
    assert problem(mona("POST", "/plans", body)) == (409, "several-apps")
    mona.post("/plans", body | {"app": "other"})


def test_a_plan_has_a_page_that_shows_it_and_runs_nothing_of_it(front: Front, unmade: int) -> None:
    page = requests.get(f"{front.url}/plans/{unmade}", timeout=10)
    assert (page.status_code, page.headers["Refresh"]) == (200, "2")
    hostile = {"name": "<script>alert(1)</script>", "id": None, "action": "delete", "reason": "gone\x1b[2J"}
    stack = {**hostile, "permissions": [], "resources": [], "parameters": [], "outputs": []}
    finish(front.parts, unmade, json.dumps({"unchanged": False, "refusals": [], "stacks": [stack]}).encode())
    page = requests.get(f"{front.url}/plans/{unmade}", timeout=10)
    assert "Refresh" not in page.headers
    assert "&lt;script&gt;alert(1)&lt;/script&gt; is deleted: gone" in page.text
    assert "<script>alert" not in page.text
    assert "\x1b" not in page.text
    assert requests.get(f"{front.url}/plans/4711", timeout=10).status_code == 404
    assert requests.get(f"{front.url}/plans/{unmade}", headers={"Host": "a.example.com"}, timeout=10).status_code == 403
