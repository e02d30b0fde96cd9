"""A stage's whole life in the local AWS."""

import json
from pathlib import Path

import boto3

from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.remove import remove
from stagedoor.events import Event, EventKind, silent
from stagedoor.target import Target
from tests.stagedoor.deploy.assemblies import IDENTITY, shop


def invoke(function: str) -> str:
    answer = boto3.client("lambda").invoke(FunctionName=function)
    return str(json.loads(answer["Payload"].read())["body"])


def test_a_stage_is_deployed_changed_and_taken_away(app: Path, target: Target, clients: Clients):
    events: list[Event] = []
    first = deploy(shop(app, target, "hello"), IDENTITY, clients, MemoryLedger("1"), events.append)
    function = first.outputs["Api"]["Function"]
    assert invoke(function) == "hello"
    assert [stack.ordinal for stack in first.stacks] == [0, 1]
    assert [event.status for event in events if event.kind is EventKind.ASSET] == ["uploaded"]
    told = [event.status for event in events if event.subject == "shop-pr-1-abc123-Api/Function"]
    assert told == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]

    again = deploy(shop(app, target, "hello"), IDENTITY, clients, MemoryLedger("2"), silent, first.stacks)
    assert again.unchanged
    assert again.outputs == first.outputs

    changed = deploy(shop(app, target, "changed"), IDENTITY, clients, MemoryLedger("3"), silent, first.stacks)
    assert not changed.unchanged
    assert invoke(function) == "changed"

    removed = remove(IDENTITY, clients, MemoryLedger("4"), silent, changed.stacks)
    assert set(removed.deleted) == {"shop-pr-1-abc123-Data", "shop-pr-1-abc123-Api"}
    assert removed.kept == ()
    assert boto3.client("s3").list_buckets()["Buckets"] == [
        bucket for bucket in boto3.client("s3").list_buckets()["Buckets"] if bucket["Name"].startswith("cdk-")
    ]
    assert boto3.client("logs").describe_log_groups()["logGroups"] == []
    assert remove(IDENTITY, clients, MemoryLedger("5"), silent, changed.stacks).deleted == ()
