"""What CloudFormation itself says of an update; on the local AWS, and in the shapes of AWS's reference."""

from pathlib import Path
from typing import Any

import boto3

from stagedoor.assembly.model import Assembly
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.comparison.differences import ChangeAction, ResourceChange, ValueChange
from stagedoor.deploy.comparison.resource_types.reading import Replacement
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.plan import plan_deploy
from stagedoor.deploy.trial import exact, with_change_sets
from stagedoor.events import silent
from tests.stagedoor.deploy.assemblies import IDENTITY, stack, template


def tables(directory: Path, key: str) -> Assembly:
    properties = {
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    body = template(Table={"Type": "AWS::DynamoDB::Table", "Properties": properties})
    return Assembly(directory, (stack(directory, "One", body, construct_paths={"Table": "One/Table"}),))


def test_a_change_set_is_read_and_leaves_nothing(app: Path, clients: Clients):
    deploy(tables(app, "id"), IDENTITY, clients, MemoryLedger("1"), silent)
    plan = with_change_sets(plan_deploy(tables(app, "key"), IDENTITY, clients, ()), clients, "run")
    [change] = plan.stacks[0].difference.resources
    assert (change.construct_path, change.action, change.loses_data) == ("One/Table", ChangeAction.MODIFY, True)
    assert change.replacement is Replacement.MAYBE  # the local AWS's word; ours, and AWS's, is "always"
    assert "KeySchema.0.AttributeName" in [one.path for one in change.properties]
    cloudformation = boto3.Session().client("cloudformation")
    name = IDENTITY.stack_name("One")
    left = [one["ChangeSetName"] for one in cloudformation.list_change_sets(StackName=name)["Summaries"]]
    assert [one for one in left if "diff" in one] == []
    assert cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"


def test_cloudformations_word_on_what_is_replaced_and_kept_comes_before_ours():
    ours = ResourceChange(
        "Table", "AWS::DynamoDB::Table", "App/Table", ChangeAction.MODIFY, Replacement.ALWAYS, (), loses_data=True
    )
    told: Any = {"Action": "Modify", "LogicalResourceId": "Table", "Replacement": "False"}
    assert exact(ours, told).replacement is Replacement.NEVER
    assert not exact(ours, told).loses_data
    told |= {"Replacement": "True", "PolicyAction": "ReplaceAndRetain"}
    kept = exact(ours, told)
    assert (kept.loses_data, kept.kept) == (False, True)


def test_what_only_cloudformation_knows_is_taken_from_it():
    blank = ResourceChange("F", "AWS::Lambda::Function", "App/F", ChangeAction.MODIFY)
    target = {"Attribute": "Properties", "Name": "Role", "Path": "/Properties/Role", "RequiresRecreation": "Never"}
    detail = {"Target": {**target, "BeforeValue": "a", "AfterValue": "b"}, "CausingEntity": "Role.Arn"}
    told: Any = {"Action": "Modify", "Replacement": "False", "Details": [detail]}
    assert exact(blank, told).properties == (ValueChange("Role", "a", "b", cause="Role.Arn"),)
