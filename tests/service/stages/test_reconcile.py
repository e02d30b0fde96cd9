"""A stage is made what it should be, on the local AWS and the local GitHub."""

import threading
import time
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from sqlalchemy.exc import OperationalError

from service.models import Outcome, Run, RunKind, RunStep, Stage
from service.stages import reconcile as reconcile_module
from service.stages import rows, teller
from service.stages import run as run_module
from service.stages import stage_assembly as making
from service.stages.journal import read_events
from service.stages.lease import acquire
from service.stages.ledger import DatabaseLedger
from stagedoor.deploy.bootstrap import NotBootstrapped
from stagedoor.deploy.remove import RemoveFailed
from tests.service.rows import T0
from tests.service.stages import tiny_app


def client(service):
    return boto3.Session().client(service)  # the default session would remember the first test's account


def stacks():
    return [
        stack["StackName"]
        for stack in client("cloudformation").describe_stacks()["Stacks"]
        if stack["StackStatus"] != "DELETE_COMPLETE"
    ]


def parameters():
    return sorted(found["Value"] for found in _parameter_values())


def _parameter_values():
    ssm = client("ssm")
    names = [each["Name"] for each in ssm.describe_parameters()["Parameters"]]
    return [ssm.get_parameter(Name=name)["Parameter"] for name in names]


def live(house):
    source = house.pull_request()
    house.resolve(source)
    house.reconcile(source)
    return source


def test_opened_pushed_closed(live_house):
    house = live_house
    source = live(house)
    stage = house.stage(source)
    assert stage.outputs == {"Tiny": {"Word": "one"}}
    assert parameters() == ["one"]

    head = house.push(source, {"tiny.template.json": tiny_app.template("two")})
    house.reconcile(source)  # without a webhook: the live pull request is read
    assert house.stage(source).live_commit == head
    assert parameters() == ["two"]

    house.github.close(house.repository, house.number(source))
    house.reconcile(source)
    assert house.outcomes(source) == [("deploy", "succeeded"), ("deploy", "succeeded"), ("remove", "succeeded")]
    assert stacks() == []
    assert parameters() == []
    assert house.stage(source).live_commit is None


def test_a_commit_that_changes_nothing_is_unchanged_and_live(live_house):
    source = live(live_house)
    head = live_house.push(source, {"README.md": "words"})
    live_house.reconcile(source)
    assert live_house.outcomes(source)[-1] == ("deploy", "unchanged")
    assert live_house.stage(source).live_commit == head


def test_a_failing_synth_leaves_the_last_good_commit_live_and_is_not_tried_again(live_house):
    source = live(live_house)
    good = live_house.stage(source).live_commit
    live_house.push(source, {"app.sh": "echo 'token ghp_" + "a" * 36 + "' >&2; exit 7\n"})
    live_house.reconcile(source)
    live_house.reconcile(source)
    assert live_house.outcomes(source) == [("deploy", "succeeded"), ("deploy", "failed")]
    error = live_house.runs(source)[-1].error
    assert error["id"] == "synth-failed"
    assert "ghp_" not in str(error)
    assert live_house.stage(source).live_commit == good
    assert parameters() == ["one"]


def test_a_log_that_was_printed_can_be_read_and_holds_no_secret(live_house):
    source = live_house.pull_request(
        **{"app.sh": "echo hello ghp_" + "b" * 36 + "\n" + tiny_app.files("one")["app.sh"]}
    )
    live_house.resolve(source)
    live_house.reconcile(source)
    (run,) = live_house.runs(source)
    events = [event for _, chunk in read_events(live_house.parts.blobs, run.id) for event in chunk]
    said = [event["message"] for event in events if event["kind"] == "log"]
    assert any(message.startswith("hello ") for message in said)
    assert "ghp_" not in str(events)
    phases = [event["subject"] for event in events if event["kind"] == "phase" and event["status"] == "done"]
    assert phases == ["fetch", "synth", "inspect", "plan", "publish", "apply"]


def test_a_push_before_anything_was_changed_supersedes_the_run(live_house, monkeypatch):
    house = live_house
    source = house.pull_request()
    house.resolve(source)
    synth = making._synth
    pushed = []

    def push_meanwhile(*arguments):
        if not pushed:
            pushed.append(house.push(source, {"tiny.template.json": tiny_app.template("newer")}))
        return synth(*arguments)

    monkeypatch.setattr(making, "_synth", push_meanwhile)
    house.reconcile(source)
    assert house.outcomes(source) == [("deploy", "superseded"), ("deploy", "succeeded")]
    assert house.stage(source).live_commit == pushed[0]


def test_a_held_stage_is_left_to_its_holder(live_house):
    source = live_house.pull_request()
    live_house.resolve(source)
    acquire(live_house.parts.sessions, live_house.stage(source).id, "somebody", 30)
    live_house.reconcile(source)
    assert live_house.runs(source) == []


def test_an_error_of_ours_is_tried_again_later_and_named_by_a_number(live_house, monkeypatch):
    source = live_house.pull_request()
    live_house.resolve(source)

    def broken(*_arguments):
        raise RuntimeError("secret detail of ours")

    with monkeypatch.context() as patch:
        patch.setattr(reconcile_module, "deploy_commit", broken)
        live_house.reconcile(source)
    stage = live_house.stage(source)
    assert stage.done_generation < stage.wanted_generation
    assert stage.not_before is not None
    error = live_house.runs(source)[0].error
    assert "secret detail" not in str(error)
    threading.Event().wait(0.3)  # the house's first retry comes after 0.1 s
    live_house.reconcile(source)
    assert live_house.outcomes(source) == [("deploy", "errored"), ("deploy", "succeeded")]


def test_a_target_that_does_not_let_us_in_is_named_and_tried_again(live_house, monkeypatch):
    source = live_house.pull_request()
    live_house.resolve(source)

    def closed(*_arguments, **_more):
        refusal = {"Error": {"Code": "AccessDenied", "Message": "arn:aws:iam::000000000000:role/deploy may not"}}
        raise ClientError(cast(Any, refusal), "CreateChangeSet")

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "deploy", closed)
        live_house.reconcile(source)
    error = live_house.runs(source)[0].error
    assert error["id"] == "access-denied"
    assert error["what"] == "These credentials may not call CreateChangeSet."
    assert "tried again by itself" in error["remedy"]
    assert "arn:" not in str(error)
    threading.Event().wait(0.3)
    live_house.reconcile(source)
    assert live_house.outcomes(source) == [("deploy", "errored"), ("deploy", "succeeded")]


def test_a_target_that_nobody_has_bootstrapped_is_tried_again(live_house, monkeypatch):
    source = live_house.pull_request()
    live_house.resolve(source)

    def bare(*_arguments, **_more):
        raise NotBootstrapped("The account is not prepared for deploys.", "Run `cdk bootstrap`.")

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "deploy", bare)
        live_house.reconcile(source)
    assert live_house.runs(source)[0].error["id"] == NotBootstrapped.id
    threading.Event().wait(0.3)
    live_house.reconcile(source)
    assert live_house.outcomes(source) == [("deploy", "errored"), ("deploy", "succeeded")]


def test_a_program_that_says_nothing_is_ended_when_the_run_is_cancelled(live_house, monkeypatch):
    source = live_house.pull_request(**{"cdk.json": '{"app": "sleep 60"}'})
    live_house.resolve(source)
    synth = making._synth

    def cancel_meanwhile(job, *arguments):
        with live_house.parts.sessions.begin() as session:
            session.get_one(Run, int(job.name.removeprefix("run-"))).cancel_requested = True
        return synth(job, *arguments)

    monkeypatch.setattr(making, "_synth", cancel_meanwhile)
    began = time.monotonic()
    live_house.reconcile(source)
    assert live_house.outcomes(source) == [("deploy", "cancelled")]
    assert time.monotonic() - began < 20


def test_a_removal_that_aws_does_not_let_through_is_tried_again_for_a_while(live_house, monkeypatch):
    source = live(live_house)
    live_house.github.close(live_house.repository, live_house.number(source))

    def refused(*_arguments):
        raise RemoveFailed("The stack could not be deleted: a network interface is in use.", "Try again.")

    monkeypatch.setattr(rows, "REMOVALS_TRIED", 3)
    with monkeypatch.context() as patch:
        patch.setattr(reconcile_module, "remove_stage", refused)
        live_house.reconcile(source)
        assert live_house.stage(source).not_before is not None
    threading.Event().wait(0.3)
    live_house.reconcile(source)
    _, first, *_, last = live_house.outcomes(source)  # a slow machine tries twice before the first look is over
    assert (first, last) == (("remove", "failed"), ("remove", "succeeded"))
    assert stacks() == []


def test_a_removal_is_given_up_after_many_tries(live_house, monkeypatch):
    source = live(live_house)
    live_house.github.close(live_house.repository, live_house.number(source))

    def refused(*_arguments):
        raise RemoveFailed("The stack could not be deleted: it is protected.", "Try again.")

    monkeypatch.setattr(rows, "REMOVALS_TRIED", 2)
    monkeypatch.setattr(reconcile_module, "remove_stage", refused)
    for _ in range(3):
        live_house.reconcile(source)
        threading.Event().wait(0.3)
    assert live_house.outcomes(source)[1:] == [("remove", "failed"), ("remove", "failed")]
    stage = live_house.stage(source)
    assert stage.done_generation == stage.wanted_generation


def test_a_store_that_takes_no_log_fails_no_run(live_house, tmp_path):
    (tmp_path / "blobs").write_text("not a folder")
    source = live(live_house)
    assert live_house.outcomes(source) == [("deploy", "succeeded")]


def test_a_stage_is_not_given_back_when_it_could_not_even_be_noted_that_github_was_not_told(live_house, monkeypatch):
    source = live_house.pull_request()
    live_house.resolve(source)

    def broken(*_arguments):
        raise OperationalError("UPDATE", {}, Exception("the server closed the connection unexpectedly"))

    with monkeypatch.context() as patch:
        patch.setattr(teller, "tell_or_put_off", broken)
        with pytest.raises(OperationalError):
            live_house.reconcile(source)
    assert live_house.outcomes(source) == [("deploy", "succeeded")]
    assert live_house.stage(source).holder is not None


def test_a_run_whose_process_died_is_called_lost(live_house):
    source = live_house.pull_request()
    live_house.resolve(source)
    stage = live_house.stage(source)
    with live_house.parts.sessions.begin() as session:
        session.add(
            Run(
                stage_id=stage.id,
                intent_id=1,
                generation=1,
                fence=0,
                kind=RunKind.DEPLOY,
                started_at=stage.created_at,
            )
        )
    live_house.reconcile(source)
    assert live_house.outcomes(source) == [("deploy", "lost"), ("deploy", "succeeded")]


def test_a_lease_lost_with_a_call_under_way_has_the_stage_looked_at_once_more(live_house, monkeypatch):
    source = live_house.pull_request()
    live_house.resolve(source)
    stage_id = live_house.stage(source).id
    finish = DatabaseLedger.finish
    overtakings = []

    def overtaken(ledger, step, outcome, after):
        if overtakings:
            return finish(ledger, step, outcome, after)
        overtakings.append(step)
        with live_house.parts.sessions.begin() as session:
            session.get_one(Stage, stage_id).lease_until = T0
        acquire(live_house.parts.sessions, stage_id, "a successor", 30).release()
        return finish(ledger, step, outcome, after)

    monkeypatch.setattr(DatabaseLedger, "finish", overtaken)
    live_house.reconcile(source)
    assert live_house.intents(source) == [("commit", "opened"), ("commit", "doubted")]
    live_house.reconcile(source)
    assert live_house.outcomes(source) == [("deploy", "lost"), ("deploy", "succeeded")]
    assert parameters() == ["one"]


def test_a_cancelled_run_ends_and_is_not_begun_again(live_house, monkeypatch):
    source = live_house.pull_request()
    live_house.resolve(source)
    fetch = making._fetch

    def cancel_meanwhile(job, *arguments):
        with live_house.parts.sessions.begin() as session:
            session.get_one(Run, int(job.name.removeprefix("run-"))).cancel_requested = True
        return fetch(job, *arguments)

    monkeypatch.setattr(making, "_fetch", cancel_meanwhile)
    live_house.reconcile(source)
    live_house.reconcile(source)
    assert live_house.outcomes(source) == [("deploy", "cancelled")]
    assert stacks() == []


def test_each_changing_operation_is_written_down_with_its_token(live_house):
    source = live(live_house)
    with live_house.parts.sessions() as session:
        steps = session.query(RunStep).order_by(RunStep.id).all()
    assert [(step.operation, step.outcome) for step in steps] == [
        ("create-change-set", "done"),
        ("execute-change-set", "done"),
    ]
    run = live_house.runs(source)[0]
    assert all(step.token.startswith(f"g1-r{run.id}-") for step in steps)
    assert run.outcome is Outcome.SUCCEEDED


def test_a_protected_stage_is_not_removed_by_a_webhook(live_house):
    source = live(live_house)
    with live_house.parts.sessions.begin() as session:
        stage = live_house.stage(source)
        session.merge(stage).protected = True
    live_house.github.close(live_house.repository, live_house.number(source))
    live_house.reconcile(source)
    assert parameters() == ["one"]
    assert live_house.outcomes(source) == [("deploy", "succeeded")]


@pytest.mark.parametrize("path", ["nowhere", "link"])
def test_a_path_that_leads_nowhere_or_out_is_the_authors_error(live_house, path):
    toml = f'[apps.tiny]\npath = "{path}"\npaths = ["**"]\n'
    live_house.github.push(live_house.repository, "main", {"stagedoor.toml": toml})
    source = live_house.pull_request()
    live_house.resolve(source)
    live_house.reconcile(source)
    assert live_house.runs(source)[-1].error["id"] == "app-path-outside"
