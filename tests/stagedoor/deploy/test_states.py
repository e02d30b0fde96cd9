"""Every state that a stack can be found in has a way out: on the scripted CloudFormation."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from stagedoor.deploy.apply import Deployed, deploy
from stagedoor.deploy.change import StackChange
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.failure import DeployFailed
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.plan import KnownStack
from stagedoor.deploy.remove import ProtectedFromRemoval, RemoveFailed, remove
from stagedoor.deploy.stacks import StackNotOurs
from stagedoor.deploy.together import Work
from stagedoor.deploy.wanted import wanted_stacks
from stagedoor.errors import Cancelled
from stagedoor.events import Event, EventKind, silent
from tests.cloudformation.account import Refused, ScriptedAccount
from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.deploy.assemblies import IDENTITY, pair
from tests.stagedoor.deploy.worker import TARGET, deploy_pair

BASE, WEB = "shop-pr-1-abc123-Base", "shop-pr-1-abc123-Web"
OURS = IDENTITY.tags()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedCloudFormation]:
    with ScriptedCloudFormation(ScriptedAccount(seconds=0.05)) as endpoint:
        for name, value in endpoint.environment().items():
            monkeypatch.setenv(name, value)
        yield endpoint


def statuses(aws: ScriptedCloudFormation) -> list[str]:
    return [aws.account.find(name).status for name in (BASE, WEB)]


def called(aws: ScriptedCloudFormation) -> list[str]:
    return [action for action, _ in aws.changes() if action != "GetCallerIdentity"]


def without_waiting(work: Work[None], pauses: list[float]) -> None:
    """Run a work, and write down how long it would have waited."""
    wish = next(work)
    with suppress(StopIteration):
        while True:
            if callable(wish):
                wish = answered(work, wish)
            else:
                pauses.append(wish)
                wish = next(work)


def answered(work: Work[None], call: Callable[[], Any]) -> Any:
    try:
        answer = call()
    except ClientError as error:
        return work.throw(error)
    return work.send(answer)


def test_a_change_set_that_is_still_being_worked_out_is_waited_for(
    aws: ScriptedCloudFormation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteChangeSet.html"""
    deploy_pair(tmp_path, "1", "x")
    call = {"StackName": BASE, "ChangeSetName": "sd-left", "TemplateBody": "{}", "ClientToken": "left"}
    aws.account.create_change_set(call)

    def refuse(_call: object) -> None:
        raise Refused("InvalidChangeSetStatus", "it is CREATE_IN_PROGRESS")

    monkeypatch.setattr(aws.account, "delete_change_set", refuse)
    clients = Clients(TARGET)
    (wanted, _) = wanted_stacks(pair(tmp_path, "y"), IDENTITY)
    change = StackChange(wanted, IDENTITY, clients, MemoryLedger("2"), silent)
    with pytest.raises(DeployFailed, match="did not come to rest"):
        without_waiting(change.run(), pauses := [])
    assert sum(pauses) > 60


def test_a_protected_stack_that_must_be_made_anew_says_so(aws: ScriptedCloudFormation, tmp_path: Path):
    lasting = replace(IDENTITY, disposable=False)
    arn = aws.account.put(BASE, "ROLLBACK_COMPLETE", OURS)
    aws.account.stacks[arn].protected = True
    with pytest.raises(RemoveFailed, match="TerminationProtection is enabled") as failed:
        deploy(pair(tmp_path, "x"), lasting, Clients(TARGET), MemoryLedger("1"), silent)
    assert "termination protection off" in failed.value.remedy


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken"])
@pytest.mark.parametrize("call", ["create_change_set", "execute_change_set", "delete_stack"])
def test_a_refusal_that_no_app_can_cure_is_not_the_apps(
    aws: ScriptedCloudFormation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: str
):
    deploy_pair(tmp_path, "1", "x")

    def refuse(_call: object) -> None:
        raise Refused(code, "not you")

    def act() -> None:
        if call == "delete_stack":
            remove(IDENTITY, Clients(TARGET), MemoryLedger("2"), silent)
        else:
            deploy_pair(tmp_path, "2", "y")

    monkeypatch.setattr(aws.account, call, refuse)
    with pytest.raises(ClientError, match="not you"):
        act()


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"])
def test_a_stack_that_can_only_be_deleted_is_made_anew(aws: ScriptedCloudFormation, tmp_path: Path, status: str):
    old = aws.account.put(BASE, status, OURS)
    deployed = deploy_pair(tmp_path, "1", "x")
    assert deployed.stacks[0].arn != old
    assert statuses(aws) == ["CREATE_COMPLETE", "CREATE_COMPLETE"]


def test_a_stack_that_was_never_more_than_a_change_set_is_used(aws: ScriptedCloudFormation, tmp_path: Path):
    old = aws.account.put(BASE, "REVIEW_IN_PROGRESS")
    assert deploy_pair(tmp_path, "1", "x").stacks[0].arn == old


def test_a_rollback_that_failed_is_continued_and_the_stack_updated(aws: ScriptedCloudFormation, tmp_path: Path):
    aws.account.put(BASE, "UPDATE_ROLLBACK_FAILED", OURS)
    deploy_pair(tmp_path, "1", "x")
    assert called(aws)[:3] == ["ContinueUpdateRollback", "CreateChangeSet", "ExecuteChangeSet"]
    assert statuses(aws) == ["UPDATE_COMPLETE", "CREATE_COMPLETE"]


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"])
def test_what_another_began_is_awaited_first(aws: ScriptedCloudFormation, tmp_path: Path, status: str):
    arn = aws.account.put(BASE, "CREATE_COMPLETE", OURS)
    stack = aws.account.stacks[arn]
    stack.status = status
    threading.Timer(0.5, lambda: setattr(stack, "status", status.replace("IN_PROGRESS", "COMPLETE"))).start()
    deploy_pair(tmp_path, "1", "x")
    assert statuses(aws)[0] == ("UPDATE_COMPLETE" if status.startswith("UPDATE") else "CREATE_COMPLETE")


def test_the_first_failure_is_told_with_its_place_in_the_app(aws: ScriptedCloudFormation, tmp_path: Path):
    aws.account.fail(WEB, "Value", "The value is too long.")
    with pytest.raises(DeployFailed) as failed:
        deploy_pair(tmp_path, "1", "x")
    assert failed.value.what == (
        f"Web/Settings/Value (AWS::SSM::Parameter) in the stack {WEB} failed: The value is too long."
    )
    assert statuses(aws) == ["CREATE_COMPLETE", "ROLLBACK_COMPLETE"]
    assert deploy_pair(tmp_path, "2", "y")
    assert statuses(aws) == ["UPDATE_COMPLETE", "CREATE_COMPLETE"]


def test_a_stack_of_another_is_refused_and_nothing_is_changed(aws: ScriptedCloudFormation, tmp_path: Path):
    aws.account.put(WEB, "CREATE_COMPLETE", OURS | {"stagedoor:repository": "43"})
    with pytest.raises(StackNotOurs, match="repository '43'"):
        deploy_pair(tmp_path, "1", "x")
    assert called(aws) == []


def test_a_stack_without_our_tags_is_refused(aws: ScriptedCloudFormation, tmp_path: Path):
    aws.account.put(WEB, "CREATE_COMPLETE", {"team": "other"})
    with pytest.raises(StackNotOurs, match="was not made by Stagedoor"):
        deploy_pair(tmp_path, "1", "x")


def test_a_cancelled_deploy_rolls_its_update_back_and_starts_nothing_more(aws: ScriptedCloudFormation, tmp_path: Path):
    deploy_pair(tmp_path, "1", "x")
    aws.account.held.add(BASE)

    def cancel(event: Event) -> None:
        if event.kind is EventKind.STACK and event.status == "UPDATE_IN_PROGRESS":
            raise Cancelled

    with pytest.raises(Cancelled):
        deploy_pair(tmp_path, "2", "y", cancel)
    assert called(aws)[-1] == "CancelUpdateStack"
    deploy_pair(tmp_path, "3", "z")
    assert statuses(aws) == ["UPDATE_COMPLETE", "UPDATE_COMPLETE"]


def removed(known: Deployed) -> tuple[str, ...]:
    return remove(IDENTITY, Clients(TARGET), MemoryLedger("remove"), silent, known.stacks).deleted


def test_stacks_are_deleted_in_reverse_order(aws: ScriptedCloudFormation, tmp_path: Path):
    known = deploy_pair(tmp_path, "1", "x")
    removed(known)
    assert [call["StackName"].split("/")[1] for _, call in aws.changes("DeleteStack")] == [WEB, BASE]


def test_a_stage_that_nobody_remembers_is_found_by_its_tags(aws: ScriptedCloudFormation, tmp_path: Path):
    deploy_pair(tmp_path, "1", "x")
    aws.account.put("of-another", "CREATE_COMPLETE", OURS | {"stagedoor:stage": "pr-2"})
    aws.account.put("by-hand", "CREATE_COMPLETE")
    assert set(remove(IDENTITY, Clients(TARGET), MemoryLedger("r"), silent).deleted) == {BASE, WEB}
    assert aws.account.find("of-another").status == aws.account.find("by-hand").status == "CREATE_COMPLETE"


def test_a_stack_whose_name_was_taken_by_another_is_left_alone(aws: ScriptedCloudFormation):
    aws.account.put(BASE, "CREATE_COMPLETE", {"team": "other"})
    known = [KnownStack(BASE, "arn:aws:cloudformation:us-east-1:111122223333:stack/x/gone", 0)]
    assert remove(IDENTITY, Clients(TARGET), MemoryLedger("r"), silent, known).deleted == ()
    assert called(aws) == []


def test_a_shell_that_a_dead_worker_left_is_deleted(aws: ScriptedCloudFormation):
    aws.account.put(BASE, "REVIEW_IN_PROGRESS")
    known = [KnownStack(BASE, None, 0)]
    assert remove(IDENTITY, Clients(TARGET), MemoryLedger("r"), silent, known).deleted == (BASE,)


def test_a_deletion_that_failed_is_tried_again(aws: ScriptedCloudFormation, tmp_path: Path):
    known = deploy_pair(tmp_path, "1", "x")
    aws.account.fail(WEB, "Value", "It is still in use.")
    assert set(removed(known)) == {BASE, WEB}


def test_a_deletion_that_never_succeeds_says_why(aws: ScriptedCloudFormation, tmp_path: Path):
    known = deploy_pair(tmp_path, "1", "x")
    for _ in range(10):
        aws.account.fail(WEB, "Value", "It is still in use.")
    with pytest.raises(RemoveFailed, match="It is still in use"):
        remove(replace(IDENTITY, disposable=False), Clients(TARGET), MemoryLedger("r"), silent, known.stacks)
    assert aws.account.find(BASE).status == "CREATE_COMPLETE"


def test_an_update_under_way_is_cut_short_before_the_stack_is_deleted(aws: ScriptedCloudFormation, tmp_path: Path):
    known = deploy_pair(tmp_path, "1", "x")
    aws.account.held.add(BASE)

    def die(event: Event) -> None:
        if event.kind is EventKind.STACK and event.status == "UPDATE_IN_PROGRESS":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy_pair(tmp_path, "2", "y", die)
    assert set(removed(known)) == {BASE, WEB}
    assert "CancelUpdateStack" in called(aws)


def test_only_a_disposable_stage_loses_its_termination_protection(aws: ScriptedCloudFormation, tmp_path: Path):
    known = deploy_pair(tmp_path, "1", "x")
    aws.account.find(BASE).protected = True
    lasting = replace(IDENTITY, disposable=False)
    with pytest.raises(ProtectedFromRemoval):
        remove(lasting, Clients(TARGET), MemoryLedger("r"), silent, known.stacks)
    assert statuses(aws) == ["CREATE_COMPLETE", "CREATE_COMPLETE"]
    assert set(removed(known)) == {BASE, WEB}
