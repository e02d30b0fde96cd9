"""What is done about a stuck rollback, an export in use, what cannot be deleted, and what another began."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.model import Assembly
from stagedoor.deploy import deletion
from stagedoor.deploy.apply import Deployed, deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.failure import DeployFailed, failure_of, remedy_for
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.remove import Kept, RemoveFailed, remove
from stagedoor.deploy.stacks import ActualStack
from stagedoor.deploy.watch import Watch
from stagedoor.events import Emit, Event, EventKind, silent
from tests.cloudformation.account import ScriptedAccount
from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.deploy.assemblies import IDENTITY, pair, parameter, stack, template
from tests.stagedoor.deploy.worker import TARGET

BASE, WEB = "shop-pr-1-abc123-Base", "shop-pr-1-abc123-Web"
OURS = IDENTITY.tags()
_runs = itertools.count(1)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedCloudFormation]:
    with ScriptedCloudFormation(ScriptedAccount(seconds=0.02)) as endpoint:
        for name, value in endpoint.environment().items():
            monkeypatch.setenv(name, value)
        yield endpoint


class Bringing:
    """A deploy, in one of the two ways in which a stack is changed; `told` is what the last one told."""

    def __init__(self, *, alone: bool) -> None:
        self.alone = alone
        self.told: list[Event] = []
        self.heard: Emit = silent

    def _take(self, event: Event) -> None:
        self.told.append(event)
        self.heard(event)

    def __call__(self, assembly: Assembly) -> Deployed:
        self.told.clear()
        ledger = MemoryLedger(str(next(_runs)))
        return deploy(assembly, IDENTITY, Clients(TARGET), ledger, self._take, alone=self.alone)

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.told if event.kind is EventKind.WARNING]


@pytest.fixture(params=[True, False], ids=["directly", "by change set"])
def bring(request: pytest.FixtureRequest) -> Bringing:
    return Bringing(alone=request.param)


def sharing(directory: Path, *, shared: bool) -> Assembly:
    """Two stacks; `Web` imports what `Base` exports while it is `shared`."""
    base, web = template(Value=parameter("x")), template(Value=parameter("own"))
    if shared:
        base["Resources"]["Queue"] = {"Type": "AWS::SQS::Queue"}
        base["Outputs"] = {"Out": {"Value": {"Ref": "Queue"}, "Export": {"Name": "queue"}}}
        web = template(Value=parameter({"Fn::ImportValue": "queue"}))  # type: ignore[arg-type]
    return Assembly(directory, (stack(directory, "Base", base), stack(directory, "Web", web, needs=("Base",))))


def test_an_export_that_is_still_imported_is_kept_for_one_more_deploy(
    aws: ScriptedCloudFormation, tmp_path: Path, bring: Bringing
):
    bring(sharing(tmp_path, shared=True))
    bring(sharing(tmp_path, shared=False))
    assert bring.warnings == [f"The export queue is kept for one more deploy: {WEB} still imports it."]
    base = aws.account.find(BASE)
    assert base.exports == {"queue": '{"Ref": "Queue"}'}  # the value that it had, as text
    assert base.resources.keys() == {"Value", "Queue"}
    bring(sharing(tmp_path, shared=False))
    assert bring.warnings == []
    assert aws.account.find(BASE).exports == {}
    assert list(aws.account.find(BASE).resources) == ["Value"]
    assert bring(sharing(tmp_path, shared=False)).unchanged


def test_a_rollback_that_is_stuck_goes_on_without_what_it_is_stuck_at(
    aws: ScriptedCloudFormation, tmp_path: Path, bring: Bringing
):
    aws.account.put(BASE, "UPDATE_ROLLBACK_FAILED", OURS, template(Value=parameter("x"), Old=parameter("y")))
    aws.account.jam(BASE, "Old", "It will not go back.")
    bring(pair(tmp_path, "z"))
    skipped = [call.get("ResourcesToSkip") for _, call in aws.changes("ContinueUpdateRollback")]
    assert skipped == [None, ["Old"]]
    assert "could not be rolled back for Old" in bring.warnings[0]


def test_what_a_disposable_stage_cannot_be_rid_of_is_left_behind_and_named(aws: ScriptedCloudFormation):
    aws.account.put(BASE, "CREATE_COMPLETE", OURS, template(Value=parameter("x"), Hook={"Type": "Custom::Hook"}))
    aws.account.jam(BASE, "Hook", "The function behind it does not answer.")
    removed = remove(IDENTITY, Clients(TARGET), MemoryLedger("r"), silent)
    assert removed.deleted == (BASE,)
    assert removed.kept == (
        Kept(BASE, "Hook", "Custom::Hook", f"{BASE}-Hook", "The function behind it does not answer."),
    )
    assert [call.get("RetainResources") for _, call in aws.changes("DeleteStack")] == [None, None, None, ["Hook"]]


def test_a_lasting_stage_loses_sight_of_nothing(aws: ScriptedCloudFormation):
    aws.account.put(BASE, "CREATE_COMPLETE", OURS, template(Hook={"Type": "Custom::Hook"}))
    aws.account.jam(BASE, "Hook", "The function behind it does not answer.")
    with pytest.raises(RemoveFailed, match="The function behind it does not answer"):
        remove(replace(IDENTITY, disposable=False), Clients(TARGET), MemoryLedger("r"), silent)
    assert aws.account.find(BASE).status == "DELETE_FAILED"


def test_the_network_interfaces_of_deleted_functions_are_waited_for(
    aws: ScriptedCloudFormation, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(deletion, "INTERFACE_PAUSE", 0.01)
    aws.account.put(BASE, "CREATE_COMPLETE", OURS, template(Group={"Type": "AWS::EC2::SecurityGroup"}))
    for _ in range(6):
        aws.account.fail(BASE, "Group", "resource sg-1 has a dependent object (DependencyViolation)")
    told: list[Event] = []
    removed = remove(IDENTITY, Clients(TARGET), MemoryLedger("r"), told.append)
    assert (removed.deleted, removed.kept) == ((BASE,), ())
    assert [event.message for event in told if event.kind is EventKind.WARNING] == [
        "Group cannot be deleted before Lambda gives its network interfaces back: up to 20 minutes."
    ]


@pytest.mark.parametrize(
    ("status", "then"),
    [
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"),
        ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"),
        ("ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"),
    ],
)
def test_what_another_began_is_awaited_and_said(
    aws: ScriptedCloudFormation, tmp_path: Path, bring: Bringing, status: str, then: str
):
    held = aws.account.stacks[aws.account.put(BASE, status, OURS)]
    held.events[-1]["ClientRequestToken"] = "Console-UpdateStack-1"
    bring.heard = lambda event: setattr(held, "status", then) if event.message.startswith("waiting for") else None
    bring(pair(tmp_path, "x"))
    waits = [event.message for event in bring.told if event.message.startswith("waiting for")]
    assert len(waits) == 1
    assert "that somebody at the AWS console began at" in waits[0]
    assert aws.account.find(BASE).status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def test_why_a_stack_itself_turned_back_is_told_where_no_resource_failed(
    aws: ScriptedCloudFormation, tmp_path: Path, bring: Bringing
):
    taken = "Export with name Url is already exported by stack other"
    aws.account.fail(BASE, "", f"{taken}. Rollback requested by user.")
    with pytest.raises(DeployFailed) as failed:
        bring(pair(tmp_path, "x"))
    assert failed.value.what.endswith(f"failed: {taken}.")
    assert "Name the export otherwise" in failed.value.remedy


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("Action denied by stack policy: Statement [#1] does not allow [Update:*]", "stack's policy"),
        ("User: arn:aws:sts::1:assumed-role/x is not authorized to perform: sqs:CreateQueue", "execution role"),
        ("Export a cannot be updated as it is in use by b", "under another name"),
        ("Resource limit exceeded: you have reached the maximum", "quota"),
    ],
)
def test_a_failure_says_what_helps(
    aws: ScriptedCloudFormation, tmp_path: Path, bring: Bringing, reason: str, remedy: str
):
    aws.account.fail(BASE, "Value", reason)
    with pytest.raises(DeployFailed, match="failed: ") as failed:
        bring(pair(tmp_path, "x"))
    assert remedy in failed.value.remedy


def test_a_quota_that_is_used_up_is_said():
    assert "higher quota" in remedy_for("Limit for stack has been exceeded", "LimitExceeded")


def test_what_failed_is_told_before_what_was_only_cancelled_for_it(tmp_path: Path):
    def failed(logical_id: str, reason: str) -> Any:
        return {"LogicalResourceId": logical_id, "ResourceType": "AWS::X::Y", "ResourceStatusReason": reason}

    one = pair(tmp_path, "x").stacks[1]
    events = [failed("Other", "Resource creation cancelled"), failed("Value", "It is too long.")]
    watch = Watch(Clients(TARGET), "arn", lambda _: None, failures=events)
    told = failure_of(watch.clients, one, ActualStack(WEB, "arn", "ROLLBACK_COMPLETE"), watch)
    assert told.what == f"Web/Settings/Value (AWS::X::Y) in the stack {WEB} failed: It is too long."
