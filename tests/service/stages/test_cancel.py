"""A run that is cancelled ends where the next one can go on, wherever it was; it is tried again only when asked."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.models import Run
from service.stages import reconcile as reconcile_module
from service.stages import stage_assembly as making
from service.stages.errors import RemovalGoesOn, RunGoesOn, RunOutdated
from service.stages.requests import cancel_run, retry_run
from stagedoor.deploy.publishing import publish
from tests.cloudformation.account import ScriptedAccount
from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.service.stages import tiny_app
from tests.service.stages.conftest import House


def cancel(house: House, run_id: int) -> bool:
    with house.parts.sessions.begin() as session:
        return cancel_run(session, session.get_one(Run, run_id), actor="mona")


def retry(house: House, run_id: int) -> bool:
    with house.parts.sessions.begin() as session:
        return retry_run(session, session.get_one(Run, run_id), actor="mona").new


@pytest.fixture
def scripted(live_house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedCloudFormation]:
    """CloudFormation as a script, whose updates go on for as long as they are held; the rest is the local AWS."""
    monkeypatch.setattr(reconcile_module, "LOOK_SECONDS", 0.0)
    with ScriptedCloudFormation(ScriptedAccount(seconds=0.0)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", endpoint.url)
        yield endpoint


def test_a_cancel_during_an_update_ends_in_a_stack_that_the_next_run_can_update(
    live_house: House, scripted: ScriptedCloudFormation
) -> None:
    house = live_house
    source = house.pull_request()
    house.resolve(source)
    house.reconcile(source)
    first = house.stage(source)
    (name,) = [stack.name for stack in scripted.account.stacks.values()]

    house.push(source, {"tiny.template.json": tiny_app.template("two")})
    house.resolve(source)
    scripted.account.held.add(name)
    gate = scripted.gate("ExecuteChangeSet", after=True)
    with ThreadPoolExecutor(1) as worker:
        working = worker.submit(house.reconcile, source)
        gate.wait()
        assert cancel(house, house.runs(source)[-1].id)
        gate.opened.set()
        try:
            working.result(20)
        finally:
            scripted.account.held.clear()
    run = house.runs(source)[-1]
    assert (run.outcome, run.cancelled_by) == ("cancelled", "mona")
    assert [call for call, _ in scripted.calls].count("CancelUpdateStack") == 1
    assert house.stage(source).live_commit == first.live_commit
    (comment,) = house.github.comments(house.repository, house.number(source))
    assert "Cancelled" in comment["body"]

    house.reconcile(source)
    assert len(house.runs(source)) == 2, "a cancelled run is not tried again by itself"
    assert not cancel(house, run.id)
    assert retry(house, run.id)
    house.reconcile(source)
    assert house.outcomes(source)[1:] == [("deploy", "cancelled"), ("deploy", "succeeded")]
    assert scripted.account.find(name).status == "UPDATE_COMPLETE"
    assert '"two"' in scripted.account.find(name).template
    assert house.stage(source).outputs == {"Tiny": {"Word": "two"}}
    assert house.intents(source)[-1] == ("commit", "retried")


@pytest.mark.parametrize("phase", ["fetch", "synth", "publish"])
def test_a_cancel_in_any_phase_before_changes_nothing_in_aws(
    live_house: House, scripted: ScriptedCloudFormation, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    house = live_house
    slow = {"cdk.json": '{"app": "sleep 60"}'} if phase == "synth" else {}
    source = house.pull_request(**slow)
    house.resolve(source)
    reached, opened = threading.Event(), threading.Event()

    def held(real):
        def wait(*arguments, **more):
            reached.set()
            assert opened.wait(20)
            return real(*arguments, **more)

        return wait

    if phase == "fetch":
        monkeypatch.setattr(making, "_fetch", held(making._fetch))
    elif phase == "synth":
        opened.set()
        monkeypatch.setattr(making, "_synth", held(making._synth))
    else:
        monkeypatch.setattr(publish.Publishing, "until_done", held(publish.Publishing.until_done))
    began = time.monotonic()
    with ThreadPoolExecutor(1) as worker:
        working = worker.submit(house.reconcile, source)
        assert reached.wait(20)
        assert cancel(house, house.runs(source)[-1].id)
        opened.set()
        working.result(30)
    assert house.outcomes(source) == [("deploy", "cancelled")]
    assert time.monotonic() - began < 25
    assert "ExecuteChangeSet" not in [call for call, _ in scripted.calls]
    house.reconcile(source)
    assert len(house.runs(source)) == 1


def test_what_cannot_be_cancelled_or_tried_again_says_so(house: House) -> None:
    source = house.pull_request()
    house.resolve(source)
    stage = house.stage(source)
    with house.parts.sessions.begin() as session:
        for run_id, kind, outcome in ((1, "deploy", None), (2, "remove", None), (3, "deploy", "failed")):
            session.add(
                Run(
                    id=run_id,
                    stage_id=stage.id,
                    intent_id=1,
                    generation=1,
                    fence=1,
                    kind=kind,
                    outcome=outcome,
                    started_at=stage.created_at,
                )
            )
    with pytest.raises(RunGoesOn):
        retry(house, 1)
    with pytest.raises(RemovalGoesOn):
        cancel(house, 2)
    house.push(source, {"README.md": "words"})
    house.resolve(source)
    with pytest.raises(RunOutdated):
        retry(house, 3)


def test_a_wish_to_cancel_outlives_the_process_that_it_was_told_to(live_house: House) -> None:
    house = live_house
    source = house.pull_request()
    house.resolve(source)
    stage = house.stage(source)
    with house.parts.sessions.begin() as session:
        session.add(
            Run(id=1, stage_id=stage.id, intent_id=1, generation=1, fence=0, kind="deploy", started_at=stage.created_at)
        )
    assert cancel(house, 1)
    house.reconcile(source)
    assert house.outcomes(source) == [("deploy", "lost"), ("deploy", "cancelled")]
    assert house.runs(source)[-1].cancelled_by == "mona"
