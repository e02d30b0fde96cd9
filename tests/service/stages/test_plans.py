"""A plan without a deploy: what it says, that nothing is changed by it, and who makes it when somebody dies over it."""

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import boto3
import pytest
from sqlalchemy import func, select

from service.database import now
from service.models import AssemblyRow, Intent, Outcome, PlanRow, RunStep, Stage, StageStack, Want
from service.stages import planning
from service.stages.errors import CommitNotApproved, InvalidCommit, NoAssembly, PromotionRefused, TooManyPlans
from service.stages.journal import read_chunk
from service.stages.lease import acquire, hand_on, holder_name
from service.stages.leftovers import sweep_work_folders, work_folder
from service.stages.planning import make_plan
from service.stages.plans import (
    MOST_ATTEMPTS,
    MOST_WAITING,
    cancel_plan,
    claim,
    events_of_plan,
    request_plan,
    ring_for_plans,
)
from service.stages.pruning import prune_plans
from service.stages.repository_code import cache_of
from stagedoor.target import Trust
from tests.service.rows import T0
from tests.service.stages import tiny_app
from tests.service.stages.conftest import House
from tests.service.stages.packed import artifact
from tests.stagedoor.synth.looking_app import LOOKS_UP


def ask(house: House, source: int, **what: Any) -> int:
    with house.parts.sessions.begin() as session:
        stage = session.get_one(Stage, house.stage(source).id)
        plan, _ = request_plan(session, stage, actor="mona", **what)
        return plan.id


def row(house: House, plan_id: int) -> PlanRow:
    with house.parts.sessions() as session:
        return session.get_one(PlanRow, plan_id)


def made(house: House, plan_id: int) -> tuple[PlanRow, dict[str, Any]]:
    """Make a plan, and return its row and what it says."""
    make_plan(house.parts, house.clients, plan_id)
    plan = row(house, plan_id)
    return plan, json.loads(house.parts.blobs.get(plan.blob)) if plan.blob else {}


def live(house: House) -> int:
    source = house.pull_request()
    house.resolve(source)
    house.reconcile(source)
    assert house.outcomes(source) == [("deploy", "succeeded")]
    return source


def head(house: House, source: int) -> str:
    return str(house.source(source).head_sha)


def standing(house: House, source: int) -> tuple[Any, ...]:
    """All that a plan must leave as it is."""
    stage = house.stage(source)
    with house.parts.sessions() as session:
        steps = session.scalar(select(func.count()).select_from(RunStep))
        stacks = [(one.name, one.arn, one.drift) for one in session.scalars(select(StageStack))]
    return (stage.wanted_generation, stage.done_generation, stage.live_commit, stage.outputs, steps, stacks)


def test_a_plan_says_what_a_deploy_would_do_and_does_nothing(live_house: House) -> None:
    house = live_house
    source = live(house)
    before = standing(house, source)
    plan, said = made(house, ask(house, source, commit=head(house, source)))
    assert (plan.outcome, plan.error, said["unchanged"]) == (Outcome.UNCHANGED, None, True)

    pushed = house.push(source, tiny_app.files("two"))
    plan, said = made(house, ask(house, source, commit=pushed))
    assert plan.outcome is Outcome.SUCCEEDED
    (stack,) = said["stacks"]
    (resource,) = stack["resources"]
    (change,) = resource["properties"]
    assert (stack["action"], resource["logical_id"], change["before"], change["after"]) == (
        "update",
        "Word",
        "one",
        "two",
    )
    assert standing(house, source) == before
    chunks = (read_chunk(house.parts.blobs, events_of_plan(plan.id), number) for number in itertools.count(1))
    events = [one for chunk in itertools.takewhile(lambda chunk: chunk is not None, chunks) for one in chunk or ()]
    phases = [one["subject"] for one in events if one["kind"] == "phase" and one["status"] == "done"]
    assert phases == ["fetch", "synth", "inspect", "plan"]
    assert list(work_folder(house.parts.settings, "").glob("plan-*")) == []


def test_a_plan_is_made_beside_a_deploy_and_of_a_stage_that_has_nothing_yet(live_house: House) -> None:
    house = live_house
    source = house.pull_request()
    house.resolve(source)
    assert acquire(house.parts.sessions, house.stage(source).id, "somebody else", 60)
    plan, said = made(house, ask(house, source, commit=head(house, source)))
    assert plan.outcome is Outcome.SUCCEEDED
    assert [stack["action"] for stack in said["stacks"]] == ["create"]


def test_what_a_run_deployed_is_compared_without_a_synth(live_house: House) -> None:
    house = live_house
    source = live(house)
    house.push(source, tiny_app.files("two"))
    house.touch(source)
    house.reconcile(source)
    first, second = house.runs(source)
    with house.parts.sessions() as session:
        earlier = session.get_one(AssemblyRow, first.assembly_id)
    plan, said = made(house, ask(house, source, assembly=earlier, commit=first.commit))
    assert (plan.want, plan.outcome, plan.commit) == (Want.ASSEMBLY, Outcome.SUCCEEDED, first.commit)
    assert said["stacks"][0]["resources"][0]["properties"][0]["after"] == "one"
    assert second.outcome is Outcome.SUCCEEDED


def test_code_that_nobody_has_merged_meets_nothing_of_a_production_stage(live_house: House) -> None:
    house = live_house
    source = house.pull_request(**{"cdk.json": json.dumps({"app": "python3 app.py"}), "app.py": LOOKS_UP})
    house.resolve(source)
    with house.parts.sessions.begin() as session:
        stage = session.get_one(Stage, house.stage(source).id)
        stage.frozen_target = {**stage.frozen_target, "trust": Trust.PRODUCTION.value}
        stage.trust = stage.target.trust = Trust.PRODUCTION
    plan, _ = made(house, ask(house, source, commit=head(house, source), unmerged=True))
    assert (plan.outcome, (plan.error or {})["id"]) == (Outcome.FAILED, "lookup-not-merged")
    caches = cache_of(house.parts.settings)
    assert (caches / "preview").exists()
    assert not (caches / "production").exists()

    boto3.Session().client("ssm").put_parameter(Name="/which", Type="String", Value="/this", Overwrite=True)
    boto3.Session().client("ssm").put_parameter(Name="/this", Type="String", Value="found", Overwrite=True)
    merged, _ = made(house, ask(house, source, commit=head(house, source)))
    assert merged.outcome is Outcome.SUCCEEDED
    assert (caches / "production").exists()
    # What was looked up for merged code is known now.
    plan, said = made(house, ask(house, source, commit=head(house, source), unmerged=True))
    assert (plan.outcome, said["stacks"][0]["action"]) == (Outcome.SUCCEEDED, "create")


def test_a_broken_app_is_told_in_its_own_words(live_house: House) -> None:
    house = live_house
    source = live(house)
    pushed = house.push(source, {"app.sh": "echo oh no >&2; exit 3"})
    plan, _ = made(house, ask(house, source, commit=pushed))
    assert plan.outcome is Outcome.FAILED
    assert plan.error is not None
    assert plan.error["what"].startswith("The app's program (sh app.sh) ended with status 3")


def test_a_plan_that_nobody_wants_any_more_ends_its_program(live_house: House) -> None:
    house = live_house
    source = live(house)
    pushed = house.push(source, {"cdk.json": '{"app": "sleep 60"}'})
    plan_id = ask(house, source, commit=pushed)
    began = time.monotonic()
    with ThreadPoolExecutor(1) as worker:
        working = worker.submit(make_plan, house.parts, house.clients, plan_id)
        while row(house, plan_id).phase != "synth":
            assert time.monotonic() - began < 20
            time.sleep(0.05)
        with house.parts.sessions.begin() as session:
            assert cancel_plan(session, session.get_one(PlanRow, plan_id))
            assert not cancel_plan(session, session.get_one(PlanRow, plan_id))
        working.result(20)
    assert time.monotonic() - began < 25
    assert row(house, plan_id).outcome is Outcome.CANCELLED


def test_a_fault_of_ours_is_tried_again_and_then_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    source = house.pull_request()
    house.resolve(source)
    plan_id = ask(house, source, commit=head(house, source))

    def broken(*_arguments: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(planning, "_planned", broken)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        with house.parts.sessions.begin() as session:
            session.get_one(PlanRow, plan_id).not_before = None
        assert row(house, plan_id).outcome is None
        make_plan(house.parts, house.clients, plan_id)
        assert row(house, plan_id).attempts == attempt
    plan = row(house, plan_id)
    assert plan.outcome is Outcome.ERRORED
    assert plan.error is not None
    assert plan.error["id"] == "internal-error"
    assert plan.error["remedy"].startswith("It was tried 3 times.")


def test_another_makes_the_plan_that_a_process_died_over(house: House) -> None:
    source = house.pull_request()
    house.resolve(source)
    sessions = house.parts.sessions
    plan_id = ask(house, source, commit=head(house, source))

    def rung() -> bool:
        with sessions.begin() as session:
            return ring_for_plans(session, 60, 10) == [plan_id]

    assert rung()
    assert not rung(), "a ring that waits is not repeated"
    first = claim(house.parts, plan_id, holder_name())
    assert first is not None
    assert claim(house.parts, plan_id, holder_name()) is None
    assert not rung()
    with sessions.begin() as session:
        session.get_one(PlanRow, plan_id).lease_until = now(session) - timedelta(seconds=1)
    assert rung()
    second = claim(house.parts, plan_id, holder_name())
    assert second is not None
    first.finish(Outcome.SUCCEEDED, blob="late")
    assert row(house, plan_id).outcome is None, "who was taken for dead writes nothing"
    second.finish(Outcome.UNCHANGED, blob="plan")
    assert (row(house, plan_id).outcome, row(house, plan_id).blob) == (Outcome.UNCHANGED, "plan")


def test_what_a_killed_process_left_is_in_nobodys_way(live_house: House) -> None:
    house = live_house
    source = house.pull_request()
    house.resolve(source)
    plan_id = ask(house, source, commit=head(house, source))
    killed = claim(house.parts, plan_id, holder_name())
    assert killed is not None
    (work_folder(house.parts.settings, killed.job().name) / "tree").mkdir(parents=True)
    assert hand_on(house.parts.sessions, int(killed.holder.split(":")[1])) == 1
    plan, _ = made(house, plan_id)
    assert (plan.outcome, plan.attempts) == (Outcome.SUCCEEDED, 2)


def test_a_plan_that_kills_whoever_makes_it_is_given_up(house: House) -> None:
    source = house.pull_request()
    house.resolve(source)
    plan_id = ask(house, source, commit=head(house, source))
    for _ in range(MOST_ATTEMPTS):
        assert claim(house.parts, plan_id, holder_name())
        assert hand_on(house.parts.sessions, int(holder_name().split(":")[1])) == 1
    make_plan(house.parts, house.clients, plan_id)
    plan = row(house, plan_id)
    assert (plan.outcome, (plan.error or {})["id"]) == (Outcome.LOST, "plan-lost")


def test_a_plan_waits_for_the_workflow_that_makes_the_assembly(live_house: House) -> None:
    house = live_house
    house.github.push(house.repository, "main", {"stagedoor.toml": '[apps.tiny]\nsynth = "actions"\n'})
    source = house.pull_request()
    house.resolve(source)
    plan_id = ask(house, source, commit=head(house, source))
    plan, _ = made(house, plan_id)
    assert (plan.outcome, plan.attempts) == (None, 0)
    assert "workflow" in str(plan.blocked_reason)
    assert claim(house.parts, plan_id, holder_name()) is None, "it is not looked at all the time"
    run = house.github.begin_workflow(house.repository, head(house, source))
    house.github.end_workflow(house.repository, run, {"stagedoor-assembly-tiny": artifact("one")})
    house.hear()
    house.resolve(source)
    plan, said = made(house, plan_id)
    assert plan.outcome is Outcome.SUCCEEDED
    assert plan.blocked_reason is None
    assert [stack["action"] for stack in said["stacks"]] == ["create"]


def test_the_same_is_not_made_twice_and_not_too_much_at_a_time(house: House) -> None:
    source = house.pull_request()
    house.resolve(source)
    commits = [f"{number:040x}" for number in range(MOST_WAITING + 1)]
    plans = [ask(house, source, commit=commit) for commit in commits[:MOST_WAITING]]
    assert len(set(plans)) == MOST_WAITING
    assert ask(house, source, commit=commits[0]) == plans[0]
    with pytest.raises(TooManyPlans):
        ask(house, source, commit=commits[-1])
    with house.parts.sessions.begin() as session:
        cancel_plan(session, session.get_one(PlanRow, plans[0]))
    assert ask(house, source, commit=commits[-1]) not in plans


def test_what_may_not_be_deployed_is_not_planned(house: House) -> None:
    source = house.pull_request()
    house.resolve(source)
    with pytest.raises(InvalidCommit):
        ask(house, source, commit="main")
    with house.parts.sessions.begin() as session:
        stage = session.get_one(Stage, house.stage(source).id)
        gone = AssemblyRow(
            app_id=stage.app_id, trust=stage.trust, digest="d", commit=None, blob="", size=1, created_at=T0
        )
        other = AssemblyRow(
            app_id=stage.app_id,
            trust=stage.trust,
            digest="e",
            commit=None,
            blob="b",
            stage="pr-4711",
            size=1,
            created_at=T0,
        )
        session.add_all([gone, other])
        session.flush()
        newest = stage.wanted_generation
    for assembly, error in ((gone, NoAssembly), (other, PromotionRefused)):
        with pytest.raises(error):
            ask(house, source, assembly=assembly)
    with house.parts.sessions.begin() as session:
        intent = session.scalars(select(Intent).where(Intent.generation == newest)).one()
        intent.approval = {"sha": "a" * 40}
    with pytest.raises(CommitNotApproved):
        ask(house, source, commit="b" * 40)


def test_old_plans_are_taken_away(house: House) -> None:
    source = house.pull_request()
    house.resolve(source)
    old, new, unmade = (ask(house, source, commit=f"{number:040x}") for number in range(3))
    with house.parts.sessions.begin() as session:
        long_ago = now(session) - timedelta(days=house.parts.settings.log_days + 1)
        for plan_id, finished in ((old, long_ago), (new, now(session))):
            plan = session.get_one(PlanRow, plan_id)
            plan.outcome, plan.finished_at, plan.blob = Outcome.SUCCEEDED, finished, f"plans/{plan_id}/plan.json"
            house.parts.blobs.put(plan.blob, b"{}")
        session.get_one(PlanRow, unmade).created_at = long_ago
    assert prune_plans(house.parts) == 1
    with house.parts.sessions() as session:
        assert session.scalars(select(PlanRow.id).order_by(PlanRow.id)).all() == [new, unmade]
    assert list(house.parts.blobs.keys("plans/")) == [f"plans/{new}/plan.json"]


def test_the_folder_of_a_plan_that_was_killed_is_taken_away(house: House) -> None:
    source = house.pull_request()
    house.resolve(source)
    over, unmade = (ask(house, source, commit=f"{number:040x}") for number in range(2))
    with house.parts.sessions.begin() as session:
        cancel_plan(session, session.get_one(PlanRow, over))
    names = [f"plan-{over}-0a", f"plan-{over}-0b", f"plan-{unmade}-0a"]
    folders = [work_folder(house.parts.settings, name) for name in names]
    for folder in folders:
        folder.mkdir(parents=True)
    assert sweep_work_folders(house.parts) == 2
    assert [folder.exists() for folder in folders] == [False, False, True]
