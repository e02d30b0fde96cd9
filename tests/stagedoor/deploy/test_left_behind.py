"""What an update drops and CloudFormation cannot delete: on the local AWS, and as AWS's events tell it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from stagedoor.assembly.model import Assembly
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.contents import Resource
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.left_behind import LeftBehind, left_behind, take_away
from stagedoor.deploy.remove import remove
from stagedoor.deploy.together import run_alone
from stagedoor.events import Event, EventKind, silent
from stagedoor.naming import StageIdentity
from stagedoor.target import Target
from tests.cloudformation.account import ScriptedAccount
from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.deploy.assemblies import IDENTITY, parameter, stack, template
from tests.stagedoor.deploy.worker import TARGET

LASTING = replace(IDENTITY, stage="prod", prefix="shop-prod-abc123", disposable=False)


def one(directory: Path, *, identity: StageIdentity = IDENTITY, **resources: Any) -> Assembly:
    body = template(Value=parameter("x"), **resources)
    return Assembly(directory, (stack(directory, "Data", body, identity=identity),))


def repository(name: str) -> dict[str, Any]:
    return {"Type": "AWS::ECR::Repository", "DeletionPolicy": "Delete", "Properties": {"RepositoryName": name}}


def fill(name: str) -> None:
    manifest = '{"schemaVersion": 2, "layers": []}'
    boto3.Session().client("ecr").put_image(repositoryName=name, imageManifest=manifest, imageTag="1")


def repositories() -> list[str]:
    found = boto3.Session().client("ecr").describe_repositories()["repositories"]
    return [held["repositoryName"] for held in found if not held["repositoryName"].startswith("cdk-")]


def warnings(told: list[Event]) -> list[str]:
    return [event.message for event in told if event.kind is EventKind.WARNING]


def test_what_is_full_when_an_update_drops_or_replaces_it_goes_all_the_same(app: Path, clients: Clients):
    # The local AWS deletes full buckets, which AWS does not; it leaves full repositories alone, as AWS does.
    deploy(one(app, Images=repository("old"), More=repository("more")), IDENTITY, clients, MemoryLedger("1"), silent)
    fill("old")
    fill("more")
    ledger = MemoryLedger("2")
    told: list[Event] = []
    deploy(one(app, Images=repository("new")), IDENTITY, clients, ledger, told.append)
    assert repositories() == ["new"]
    steps = [step for step in ledger.steps if step.operation == "delete-left-behind"]
    assert {step.before["physical_id"]: step.outcome for step in steps} == {"old": "done", "more": "done"}
    assert warnings(told) == []
    ends = {event.subject: event.status for event in told if event.kind is EventKind.RESOURCE}
    assert ends["shop-pr-1-abc123-Data/More"] == "DELETE_COMPLETE"


def test_of_a_lasting_stage_it_is_told(app: Path, clients: Clients):
    deploy(one(app, identity=LASTING, Images=repository("kept")), LASTING, clients, MemoryLedger("1"), silent)
    fill("kept")
    told: list[Event] = []
    deploy(one(app, identity=LASTING), LASTING, clients, MemoryLedger("2"), told.append)
    assert repositories() == ["kept"]
    [warning] = warnings(told)
    assert warning.startswith("kept (AWS::ECR::Repository) was left behind: ")


def test_a_log_group_that_an_update_left_and_nobody_lets_us_delete_is_told(
    app: Path, clients: Clients, monkeypatch: pytest.MonkeyPatch
):
    # The local AWS tells no deletions of functions with the update's events, and asks no policies here.
    left = LeftBehind(log_groups=("/aws/lambda/old",))
    monkeypatch.setattr("stagedoor.deploy.change.left_behind", lambda _events: left)
    said = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}
    answer: Any = (AWSResponse("", 400, HTTPHeaders(), HTTPResponse()), said)
    logs = clients.client("logs", Phase.DEPLOY)
    logs.meta.events.register("before-call.cloudwatch-logs.DeleteLogGroup", lambda **_: answer)
    told: list[Event] = []
    deploy(one(app), IDENTITY, clients, MemoryLedger("1"), silent)
    deploy(one(app, More=parameter("y")), IDENTITY, clients, MemoryLedger("2"), told.append)
    assert warnings(told) == ["/aws/lambda/old (AWS::Logs::LogGroup) was left behind: not authorized"]


def test_what_an_update_left_whose_process_died_goes_with_the_stage(
    app: Path, clients: Clients, monkeypatch: pytest.MonkeyPatch
):
    deploy(one(app, Images=repository("old")), IDENTITY, clients, MemoryLedger("1"), silent)
    fill("old")
    with monkeypatch.context() as dying:  # as a process that dies when the update has ended
        dying.setattr("stagedoor.deploy.change.left_behind", lambda _events: LeftBehind())
        deploy(one(app, Images=repository("new")), IDENTITY, clients, MemoryLedger("2"), silent)
    assert "old" in repositories()
    removed = remove(IDENTITY, clients, MemoryLedger("3"), silent)
    assert (repositories(), removed.kept) == ([], ())


def test_a_full_bucket_is_emptied_and_deleted(target: Target, clients: Clients):
    name = f"full-{target.account}"
    s3 = boto3.Session().client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="note", Body=b"x")
    left = [(Resource("Files", "AWS::S3::Bucket", name), "not empty"), (Resource("Net", "AWS::EC2::VPC", "v"), "held")]
    assert run_alone(take_away(left, "Data", clients, MemoryLedger("1"), silent)) == left[1:]
    assert name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_what_another_stack_has_by_now_is_not_touched(monkeypatch: pytest.MonkeyPatch):
    account = ScriptedAccount()
    with ScriptedCloudFormation(account) as endpoint:
        for name, value in endpoint.environment().items():
            monkeypatch.setenv(name, value)
        account.put("Other", "CREATE_COMPLETE", template=template(Files={"Type": "AWS::S3::Bucket"}))
        ledger = MemoryLedger("1")
        left = [(Resource("Files", "AWS::S3::Bucket", "Other-Files"), "not empty")]
        assert run_alone(take_away(left, "Data", Clients(TARGET), ledger, silent)) == []
        assert ledger.steps == []


def event(kind: str, physical_id: str, status: str, reason: str = "") -> Any:
    return {
        "ResourceType": kind,
        "LogicalResourceId": "It",
        "PhysicalResourceId": physical_id,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


def test_what_events_say_is_left():
    events = [
        event("AWS::S3::Bucket", "again", "DELETE_FAILED", "not empty"),
        event("AWS::S3::Bucket", "again", "DELETE_COMPLETE"),
        event("AWS::S3::Bucket", "full", "DELETE_FAILED", "not empty"),
        event("AWS::Lambda::Function", "gone", "DELETE_COMPLETE"),
        event("AWS::Lambda::Function", "there", "UPDATE_COMPLETE"),
        event("Custom::LogRetention", "/aws/lambda/there", "DELETE_COMPLETE"),
    ]
    left = left_behind(events)
    assert left.resources == ((Resource("It", "AWS::S3::Bucket", "full"), "not empty"),)
    assert left.log_groups == ("/aws/lambda/gone",)
    assert set(left_behind(events, all_gone=True).log_groups) == {"/aws/lambda/gone", "/aws/lambda/there"}
