"""What CloudFormation refuses for what is in the account; and the calls that a plan makes to know it."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from stagedoor.assembly.model import Assembly
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.plan import Plan, plan_deploy
from stagedoor.deploy.stacks import read_all_stacks
from stagedoor.errors import UserError
from stagedoor.events import Event, silent
from stagedoor.target import Target
from tests.cloudformation.account import ACCOUNT, ScriptedAccount
from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.deploy.assemblies import IDENTITY, pair, parameter, stack, template

LASTING = replace(IDENTITY, stage="prod", prefix="shop-prod-abc123", disposable=False)


def one(directory: Path, body: dict[str, Any], name: str = "One", **more: Any) -> Assembly:
    paths = {logical_id: f"{name}/{logical_id}" for logical_id in body["Resources"]}
    return Assembly(directory, (stack(directory, name, body, identity=LASTING, construct_paths=paths, **more),))


def exporting(name: str, **resources: Any) -> dict[str, Any]:
    body = template({"Out": "1"}, **(resources or {"Value": parameter("x")}))
    body["Outputs"]["Out"]["Export"] = {"Name": name}
    return body


def importing(name: str) -> dict[str, Any]:
    return template(
        Copy={"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": {"Fn::ImportValue": name}}}
    )


def plan(assembly: Assembly, clients: Clients) -> Plan:
    return plan_deploy(assembly, LASTING, clients, ())


def refused(assembly: Assembly, clients: Clients) -> list[str]:
    return [f"{error.id}: {error.what}" for error in plan(assembly, clients).refusals]


def test_a_refused_deploy_changes_nothing(app: Path, clients: Clients):
    ledger = MemoryLedger("1")
    misspelt = template(Value={"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Valeu": {"Ref": "No"}}})
    with pytest.raises(UserError) as refusal:
        deploy(one(app, misspelt), LASTING, clients, ledger, silent)
    assert refusal.value.id == "unresolved-reference"
    assert "One/Value (AWS::SSM::Parameter) has no property Valeu. Did you mean Value?" in refusal.value.detail
    assert "One/Value (AWS::SSM::Parameter) lacks the property Value." in refusal.value.detail
    assert ledger.steps == []


def test_an_export_that_another_stack_of_the_account_has(app: Path, clients: Clients):
    deploy(one(app, exporting("url"), "First"), LASTING, clients, MemoryLedger("1"), silent)
    [told] = refused(one(app, exporting("url"), "Second"), clients)
    assert told.startswith("duplicate-export: The stack shop-prod-abc123-Second exports 'url'")
    assert told.endswith("which shop-prod-abc123-First exports already.")
    assert refused(one(app, exporting("url", Value=parameter("y")), "First"), clients) == []


def test_an_import_of_what_nothing_exports(app: Path, clients: Clients):
    [told] = refused(one(app, importing("nowhere")), clients)
    assert told.startswith("unknown-import: The stack shop-prod-abc123-One imports 'nowhere'")


def test_an_export_goes_only_when_nobody_else_imports_it(app: Path, clients: Clients):
    deploy(one(app, exporting("url"), "Base"), LASTING, clients, MemoryLedger("1"), silent)
    deploy(one(app, importing("url"), "Web"), LASTING, clients, MemoryLedger("2"), silent)
    without = one(app, template(Value=parameter("x")), "Base")
    [told] = refused(without, clients)
    assert (
        told
        == "export-in-use: The stack shop-prod-abc123-Base no longer exports 'url', which shop-prod-abc123-Web imports."
    )
    no_longer = one(app, template(Copy=parameter("x")), "Web")
    assert refused(Assembly(app, (*without.stacks, *no_longer.stacks)), clients) == []


def test_an_export_whose_name_the_deploy_makes_up_is_not_taken_for_gone(app: Path, clients: Clients):
    def named(name: Any) -> Assembly:
        body = exporting(name)
        body["Outputs"]["Out"]["Export"]["Name"] = name
        return one(app, body, "Base")

    deploy(named("shop-parameter"), LASTING, clients, MemoryLedger("1"), silent)
    deploy(one(app, importing("shop-parameter"), "Web"), LASTING, clients, MemoryLedger("2"), silent)
    assert refused(named({"Fn::Sub": "shop-${Value.Type}"}), clients) == []


def test_a_bucket_that_holds_objects_is_not_deleted(app: Path, clients: Clients):
    bucket, value = {"Type": "AWS::S3::Bucket"}, parameter("x")
    body = template({"Bucket": {"Ref": "Bucket"}}, Bucket=bucket, Value=value)
    deployed = deploy(one(app, body), LASTING, clients, MemoryLedger("1"), silent)
    without = one(app, template(Value=value))
    assert refused(without, clients) == []
    name = deployed.outputs["One"]["Bucket"]
    boto3.Session().client("s3").put_object(Bucket=name, Key="note", Body=b"x")
    [told] = refused(without, clients)
    assert told.startswith(f"bucket-not-empty: Bucket is removed, and its bucket {name} holds objects")
    deploy(
        one(app, template(Bucket={**bucket, "DeletionPolicy": "Retain"}, Value=value)),
        LASTING,
        clients,
        MemoryLedger("2"),
        silent,
    )
    assert refused(without, clients) == []


def test_a_stack_policy_protects_what_it_names(app: Path, clients: Clients):
    deploy(one(app, template(Value=parameter("x"), Other=parameter("x"))), LASTING, clients, MemoryLedger("1"), silent)
    statements = [
        {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "LogicalResourceId/Val*"},
    ]
    policy = json.dumps({"Statement": statements})
    boto3.Session().client("cloudformation").set_stack_policy(StackName="shop-prod-abc123-One", StackPolicyBody=policy)
    [told] = refused(one(app, template(Value=parameter("y"), Other=parameter("y"))), clients)
    assert "does not allow Update:Modify of One/Value (AWS::SSM::Parameter)" in told
    [told] = refused(one(app, template(Other=parameter("y"))), clients)
    assert "does not allow Update:Delete of Value" in told
    assert refused(one(app, template(Value=parameter("x"), Other=parameter("y"))), clients) == []


class Registry(ScriptedAccount):
    """An account whose registry knows a property that is newer than our table."""

    def describe_type(self, call: dict[str, Any]) -> dict[str, Any]:
        properties = {"Newest": {"type": "string"}, "Type": {}, "Value": {}}
        return {"Schema": json.dumps({"properties": properties, "required": ["Type", "Value"]})}


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch):
    with ScriptedCloudFormation(Registry(seconds=0.05)) as endpoint:
        for name, value in endpoint.environment().items():
            monkeypatch.setenv(name, value)
        yield endpoint


@pytest.fixture
def scripted_clients(scripted: ScriptedCloudFormation) -> Clients:
    return Clients(Target("scripted", ACCOUNT, "us-east-1"))


def test_cloudformations_registry_has_the_last_word(app: Path, scripted_clients: Clients):
    def value(**more: str) -> Assembly:
        return one(
            app, template(Value={"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x", **more}})
        )

    assert refused(value(Newest="x"), scripted_clients) == []
    [told] = refused(value(Neverest="x"), scripted_clients)
    assert told == "unknown-property: One/Value (AWS::SSM::Parameter) has no property Neverest."


def test_a_plan_makes_no_call_twice_and_only_calls_that_matter(
    app: Path, scripted: ScriptedCloudFormation, scripted_clients: Clients
):
    def name_of(call: dict[str, Any]) -> str:
        name, *_ = str(call.get("StackName", "")).split("/")[-2:]
        return name.rpartition("-")[2]

    def calls(value: str) -> Counter[tuple[str, str]]:
        scripted.calls.clear()
        plan_deploy(pair(app, value), IDENTITY, scripted_clients, ())
        return Counter((action, name_of(call)) for action, call in scripted.calls)

    identity = {("GetCallerIdentity", ""): 1}
    assert calls("a") == {**identity, ("DescribeStacks", "Base"): 1, ("DescribeStacks", "Web"): 1}
    events: list[Event] = []
    deploy(pair(app, "a"), IDENTITY, scripted_clients, MemoryLedger("1"), events.append)
    [told] = [event.data for event in events if (event.subject, event.status) == ("plan", "done")]
    assert [stack["action"] for stack in told["stacks"]] == ["create", "create"]
    assert calls("a").keys() == {
        (action, name) for action in ("DescribeStacks", "GetTemplate", "ListChangeSets") for name in ("Base", "Web")
    }
    changed = calls("b")
    assert set(changed.values()) == {1}
    assert {action for action, _ in changed} == {"DescribeStacks", "GetTemplate", "GetStackPolicy"}


def test_stacks_that_were_read_a_moment_ago_are_not_read_again_and_what_is_in_them_is(
    app: Path, scripted: ScriptedCloudFormation, scripted_clients: Clients
):
    def deployed(value: str) -> bool:
        seen = {stack.name: stack for stack in read_all_stacks(scripted_clients)}
        scripted.calls.clear()
        ledger = MemoryLedger("1")
        return deploy(pair(app, value), IDENTITY, scripted_clients, ledger, silent, alone=True, seen=seen).unchanged

    assert not deployed("a")
    assert deployed("a")
    assert {action for action, _ in scripted.calls} == {"GetTemplate", "ListChangeSets"}
    assert not deployed("b")
