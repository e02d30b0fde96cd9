"""A stage's whole life in the local AWS."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from stagedoor.assembly.model import Assembly, FileAsset, Packaging
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.bootstrap import NotBootstrapped, bootstrap, find_bootstrap
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.failure import DeployFailed
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.plan import KnownStack
from stagedoor.deploy.remove import Kept, remove
from stagedoor.events import Event, EventKind, silent
from stagedoor.target import Target
from tests.stagedoor.deploy.assemblies import IDENTITY, parameter, shop, stack, template


def invoke(function: str) -> str:
    answer = boto3.Session().client("lambda").invoke(FunctionName=function)
    return str(json.loads(answer["Payload"].read())["body"])


def own_buckets() -> list[str]:
    names = [bucket["Name"] for bucket in boto3.Session().client("s3").list_buckets()["Buckets"]]
    return [name for name in names if not name.startswith("cdk-")]


def log_groups() -> list[str]:
    return [group["logGroupName"] for group in boto3.Session().client("logs").describe_log_groups()["logGroups"]]


def live_stacks() -> list[str]:
    stacks = boto3.Session().client("cloudformation").describe_stacks()["Stacks"]
    return [stack["StackName"] for stack in stacks if not stack["StackName"].startswith("stagedoor-bootstrap")]


def one_stack(directory: Path, body: dict[str, Any], **more: Any) -> Assembly:
    return Assembly(directory, (stack(directory, "One", body, **more),))


def test_a_stage_is_deployed_changed_and_taken_away(app: Path, target: Target, clients: Clients):
    events: list[Event] = []
    first = deploy(shop(app, target, "hello"), IDENTITY, clients, MemoryLedger("1"), events.append)
    function = first.outputs["Api"]["Function"]
    assert invoke(function) == "hello"
    assert [stack.ordinal for stack in first.stacks] == [0, 1]
    assert [event.status for event in events if event.kind is EventKind.ASSET] == ["uploaded"]
    told = [event.status for event in events if event.subject == "shop-pr-1-abc123-Api/Function"]
    assert told == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]

    ledger = MemoryLedger("2")
    again = deploy(shop(app, target, "hello"), IDENTITY, clients, ledger, silent, first.stacks)
    assert again.unchanged
    assert again.outputs == first.outputs
    assert ledger.steps == []

    changed = deploy(shop(app, target, "changed"), IDENTITY, clients, MemoryLedger("3"), silent, first.stacks)
    assert not changed.unchanged
    assert invoke(function) == "changed"
    assert log_groups() == [f"/aws/lambda/{function}"]
    assert own_buckets() == [first.outputs["Data"]["Bucket"]]

    removed = remove(IDENTITY, clients, MemoryLedger("4"), silent, changed.stacks)
    assert set(removed.deleted) == {"shop-pr-1-abc123-Data", "shop-pr-1-abc123-Api"}
    assert (removed.kept, live_stacks(), own_buckets(), log_groups()) == ((), [], [], [])
    assert remove(IDENTITY, clients, MemoryLedger("5"), silent, changed.stacks).deleted == ()


def test_log_groups_are_removed_although_the_worker_that_deleted_the_stack_died(
    app: Path, target: Target, clients: Clients
):
    deployed = deploy(shop(app, target), IDENTITY, clients, MemoryLedger("1"), silent)
    invoke(deployed.outputs["Api"]["Function"])
    api = deployed.stacks[1]
    boto3.Session().client("cloudformation").delete_stack(StackName=api.name)
    boto3.Session().client("cloudformation").get_waiter("stack_delete_complete").wait(
        StackName=str(api.arn), WaiterConfig={"Delay": 1}
    )
    assert log_groups() != []
    remove(IDENTITY, clients, MemoryLedger("2"), silent, deployed.stacks)
    assert log_groups() == []


def test_a_bucket_is_emptied_of_every_version_and_marker(app: Path, clients: Clients):
    versioned = {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}}
    body = template({"Bucket": {"Ref": "Bucket"}}, Bucket=versioned)
    deployed = deploy(one_stack(app, body), IDENTITY, clients, MemoryLedger("1"), silent)
    s3, bucket = boto3.Session().client("s3"), deployed.outputs["One"]["Bucket"]
    for version in range(3):
        s3.put_object(Bucket=bucket, Key="note", Body=str(version).encode())
    s3.delete_object(Bucket=bucket, Key="note")
    asked: list[str] = []
    clients.client("s3", Phase.DEPLOY).meta.events.register(
        "before-send.s3.DeleteObjects", lambda **_: asked.append("deleted")
    )
    remove(IDENTITY, clients, MemoryLedger("2"), silent, deployed.stacks)
    assert own_buckets() == []
    assert asked == ["deleted"]  # the local AWS would delete a full bucket, too; AWS would not


def test_what_a_lasting_stage_retains_is_kept_and_said(app: Path, clients: Clients):
    lasting = replace(IDENTITY, stage="prod", prefix="shop-prod-abc123", disposable=False)
    body = template(Bucket={"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"}, Value=parameter("x"))
    deployed = deploy(one_stack(app, body, identity=lasting), lasting, clients, MemoryLedger("1"), silent)
    removed = remove(lasting, clients, MemoryLedger("2"), silent, deployed.stacks)
    [bucket] = own_buckets()
    why = "its DeletionPolicy is Retain"
    assert removed.kept == (Kept("shop-prod-abc123-One", "Bucket", "AWS::S3::Bucket", bucket, why),)


def test_a_stack_that_the_app_no_longer_has_is_deleted_with_the_next_deploy(app: Path, clients: Clients):
    both = Assembly(app, (stack(app, "Old", template(A=parameter("a"))), stack(app, "New", template(B=parameter("b")))))
    first = deploy(both, IDENTITY, clients, MemoryLedger("1"), silent)
    only_new = Assembly(app, both.stacks[1:])
    second = deploy(only_new, IDENTITY, clients, MemoryLedger("2"), silent, first.stacks)
    assert live_stacks() == ["shop-pr-1-abc123-New"]
    assert [stack.name for stack in second.stacks] == ["shop-pr-1-abc123-New"]


def test_a_template_too_long_to_be_sent_goes_by_the_bucket(app: Path, clients: Clients):
    long = template(**{f"Value{number}": parameter("x" * 1000) for number in range(60)})
    deployed = deploy(one_stack(app, long), IDENTITY, clients, MemoryLedger("1"), silent)
    assert deploy(one_stack(app, long), IDENTITY, clients, MemoryLedger("2"), silent, deployed.stacks).unchanged


def test_a_nested_stack_and_its_function_come_under_our_keys(app: Path, target: Target, clients: Clients):
    inner = json.loads((shop(app, target).stacks[1].template_path).read_text())
    code = shop(app, target).stacks[1].assets[0]
    inner["Resources"]["Function"]["Properties"].pop("Environment")
    nested = app / "inner.nested.template.json"
    nested.write_text(json.dumps(inner))
    assert isinstance(code, FileAsset)
    file = FileAsset("f" * 64, nested, Packaging.FILE, code.bucket, "f" * 64 + ".json", is_template=True)
    place = f"https://s3.us-east-1.amazonaws.com/{file.bucket}/{file.key}"
    outer = template(Inner={"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": place}})
    deployed = deploy(one_stack(app, outer, assets=(file, code)), IDENTITY, clients, MemoryLedger("1"), silent)
    keys = {item["Key"] for item in boto3.Session().client("s3").list_objects_v2(Bucket=code.bucket)["Contents"]}
    assert len(keys) == 2
    assert all(key.startswith("preview/") and "f" * 64 not in key for key in keys)
    assert len(boto3.Session().client("lambda").list_functions()["Functions"]) == 1
    assert deploy(
        one_stack(app, outer, assets=(file, code)), IDENTITY, clients, MemoryLedger("2"), silent, deployed.stacks
    ).unchanged
    remove(IDENTITY, clients, MemoryLedger("3"), silent, deployed.stacks)
    assert boto3.Session().client("lambda").list_functions()["Functions"] == []


def test_a_bootstrap_that_was_taken_away_is_made_anew_under_a_token_of_its_own(target: Target):
    clients = Clients(target)
    calls: list[dict[str, str]] = []
    clients.cloudformation.meta.events.register(
        "provide-client-params.cloudformation.CreateStack", lambda params, **_: calls.append(dict(params))
    )
    for _ in range(2):
        made = bootstrap(clients, target, silent)
        name = calls[-1]["StackName"]
        clients.cloudformation.update_termination_protection(StackName=name, EnableTerminationProtection=False)
        clients.cloudformation.delete_stack(StackName=name)
        clients.cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
        clients.client("s3", Phase.DEPLOY).delete_bucket(Bucket=made.bucket)
    first, second = (call["ClientRequestToken"] for call in calls)
    assert first != second


def test_a_target_is_bootstrapped_once(target: Target):
    clients = Clients(target)
    with pytest.raises(NotBootstrapped, match=target.account):
        find_bootstrap(clients, target)
    made = bootstrap(clients, target, silent)
    assert bootstrap(clients, target, silent) == made == find_bootstrap(clients, target)
    versioning = boto3.Session().client("s3").get_bucket_versioning(Bucket=made.bucket)
    assert versioning["Status"] == "Enabled"


def test_a_shell_that_a_dead_worker_left_is_removed(app: Path, clients: Clients):
    name = IDENTITY.stack_name("One")
    boto3.Session().client("cloudformation").create_change_set(
        StackName=name,
        ChangeSetName="sd-g1-rdead",
        ChangeSetType="CREATE",
        TemplateBody=json.dumps(template(Value=parameter("x"))),
    )
    removed = remove(IDENTITY, clients, MemoryLedger("1"), silent, [KnownStack(name, None, 0)])
    assert removed.deleted == (name,)
    assert live_stacks() == []


def test_what_failed_is_named_and_a_correction_deploys(app: Path, clients: Clients):
    taken = f"cdk-hnb659fds-assets-{clients.target.account}-us-east-1"
    body = template(Value=parameter("x"), Bucket={"Type": "AWS::S3::Bucket", "Properties": {"BucketName": taken}})
    paths = {"Bucket": "One/Uploads/Resource"}
    with pytest.raises(DeployFailed, match=r"^One/Uploads/Resource \(AWS::S3::Bucket\) in the stack .*-One failed: "):
        deploy(one_stack(app, body, construct_paths=paths), IDENTITY, clients, MemoryLedger("1"), silent)
    deploy(one_stack(app, template(Value=parameter("x"))), IDENTITY, clients, MemoryLedger("2"), silent)
    assert live_stacks() == ["shop-pr-1-abc123-One"]
