"""Plans over the API: who may ask for one, what is answered, and what is written down of it."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from service.access.reach import Right
from service.models import Outcome, PlanRow, Stage, StageKind
from service.parts import Parts
from service.stages.journal import Journal
from service.stages.plans import events_of_plan
from stagedoor.events import Event, EventKind
from stagedoor.target import Trust
from tests.service.api.conftest import Asking, Front, add_run, machine, problem
from tests.service.api.test_stages import add_assembly, add_sibling, audited, wanted

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
    asked = mona.post(f"/stages/{preview}/plans", {"commit": NEW})
    assert asked == {"plan": asked["plan"], "stage": preview, "new": True}
    assert mona.post(f"/stages/{preview}/plans", {"commit": NEW}) == {**asked, "new": False}
    assert wanted(parts.sessions, preview) == before
    unmade = mona.get(f"/plans/{asked['plan']}")
    assert (unmade["outcome"], unmade["plan"], unmade["commit"], unmade["actor"]) == (None, None, NEW, "mona")
    finish(parts, asked["plan"])
    assert mona.get(f"/plans/{asked['plan']}")["plan"] == {"unchanged": False, "refusals": [], "stacks": []}
    (listed,) = mona.get(f"/stages/{preview}/plans")["plans"]
    assert (listed["id"], listed["outcome"], "plan" in listed) == (asked["plan"], "succeeded", False)
    assert audited(parts.sessions) == [("mona", "plan", preview, f"plan {asked['plan']}")] * 2
    assert not mona.post(f"/plans/{asked['plan']}/cancel")["cancelled"]


def test_an_assembly_and_what_a_run_deployed_can_be_compared(mona: Asking, parts: Parts, preview: int) -> None:
    assembly = add_assembly(parts.sessions, preview)
    run = add_run(parts.sessions, preview, Outcome.SUCCEEDED, assembly_id=assembly)
    other = add_sibling(parts.sessions, preview, "staging")
    by_run = mona.post(f"/stages/{other}/plans", {"run": run})
    assert mona.get(f"/plans/{by_run['plan']}")["assembly"] == assembly
    assert mona.post(f"/stages/{other}/plans", {"assembly": assembly}) == {**by_run, "new": False}
    prod = add_sibling(parts.sessions, preview, "prod", Trust.PRODUCTION)
    assert problem(mona("POST", f"/stages/{prod}/plans", {"run": run})) == (409, "promotion-refused")


def test_what_is_not_there_or_not_clear_says_so(mona: Asking, parts: Parts, preview: int) -> None:
    plans = f"/stages/{preview}/plans"
    for body in ({}, {"commit": NEW, "run": 1}, {"commit": "main"}, {"run": 0}):
        assert problem(mona("POST", plans, body)) == (422, "invalid-request")
    assert problem(mona("POST", plans, {"run": 4711})) == (404, "unknown-run")
    assert problem(mona("POST", plans, {"assembly": 4711})) == (404, "unknown-assembly")
    assert problem(mona("POST", "/stages/4711/plans", {"commit": NEW})) == (404, "unknown-stage")
    for method, path in (("GET", "/plans/4711"), ("POST", "/plans/4711/cancel")):
        assert problem(mona(method, path)) == (404, "unknown-plan")
    with parts.sessions.begin() as session:
        session.get_one(Stage, preview).kind = StageKind.PERSONAL
    assert problem(mona("POST", plans, {"commit": NEW})) == (409, "stage-taken")


def test_more_than_a_few_at_a_time_are_too_many(mona: Asking, parts: Parts, preview: int) -> None:
    for number in range(10):
        mona.post(f"/stages/{preview}/plans", {"commit": f"{number:040x}"})
    refused = mona("POST", f"/stages/{preview}/plans", {"commit": NEW})
    assert problem(refused) == (429, "too-many-plans")
    assert refused.headers["Retry-After"]
    with parts.sessions() as session:
        some = session.scalars(select(PlanRow.id).limit(1)).one()
    assert mona.post(f"/plans/{some}/cancel") == {"plan": some, "cancelled": True}
    mona.post(f"/stages/{preview}/plans", {"commit": NEW})


@pytest.mark.parametrize(
    ("rights", "status"),
    [((Right.READ,), 403), ((Right.READ, Right.PLAN), 202), ((Right.READ, Right.DEPLOY), 202), ((Right.PLAN,), 202)],
)
def test_to_compare_is_a_right_of_its_own_that_comes_with_deploying(
    client: FlaskClient, parts: Parts, preview: int, rights: tuple[Right, ...], status: int
) -> None:
    asking = Asking(client, machine(parts.sessions, "pr-*", rights))
    asked = asking("POST", f"/stages/{preview}/plans", {"commit": NEW})
    assert asked.status_code == status
    deployed = asking("POST", f"/stages/{preview}/deploys", {"commit": NEW}).status_code
    assert deployed == (202 if Right.DEPLOY in rights else 403)
    if status == 202:
        read = asking("GET", f"/plans/{asked.get_json()['plan']}").status_code
        assert read == (200 if Right.READ in rights else 403)
    outside = add_sibling(parts.sessions, preview, "staging")
    assert problem(asking("POST", f"/stages/{outside}/plans", {"commit": NEW})) == (403, "forbidden")


@pytest.fixture
def unmade(front: Front) -> Iterator[int]:
    answer = front.ask("POST", f"/stages/{front.stage}/plans", json={"commit": NEW})
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
