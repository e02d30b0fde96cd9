"""Stacks that were deployed without Stagedoor become a stage, under the names that they have."""

import json
from typing import Any

import boto3
import pytest
from mypy_boto3_cloudformation import CloudFormationClient

from tests.stagedoor.cli.command import Command

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Word": {"Type": "String", "Default": "default"}},
    "Resources": {
        "Word": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Type": "String", "Value": {"Ref": "Word"}},
            "DeletionPolicy": "Retain",
        }
    },
    "Outputs": {"Name": {"Value": {"Ref": "Word"}, "Export": {"Name": "the-word"}}},
}


@pytest.fixture
def cloudformation(aws: boto3.Session, account: dict[str, str]) -> CloudFormationClient:
    return aws.client("cloudformation", endpoint_url=account["AWS_ENDPOINT_URL"])


def write_app(stagedoor: Command, template: dict[str, Any]) -> None:
    program = stagedoor.folder / "app.py"
    lines = program.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("template ="))
    lines[at] = f"template = json.loads({json.dumps(template)!r})"
    program.write_text("\n".join(lines))


def deployed_elsewhere(cloudformation: CloudFormationClient, tags: dict[str, str] | None = None) -> str:
    """The app as another tool deployed it, with a parameter given on that tool's command line."""
    return cloudformation.create_stack(
        StackName="Tiny",
        TemplateBody=json.dumps(TEMPLATE),
        Parameters=[{"ParameterKey": "Word", "ParameterValue": "given"}],
        Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
    )["StackId"]


def changed() -> dict[str, Any]:
    return {**TEMPLATE, "Description": "changed", "Resources": {**TEMPLATE["Resources"], "More": MORE}}


MORE = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "fixed"}}


def test_a_stage_adopts_what_another_tool_deployed_and_keeps_it_under_its_names(
    stagedoor: Command, cloudformation: CloudFormationClient
):
    arn = deployed_elsewhere(cloudformation)
    write_app(stagedoor, changed())

    adopted = stagedoor.result("deploy", "--stage", "live", "--adopt")
    assert adopted["ok"], adopted
    (stack,) = cloudformation.describe_stacks()["Stacks"]
    assert (stack["StackName"], stack["StackId"]) == ("Tiny", arn)
    assert {tag["Key"]: tag["Value"] for tag in stack["Tags"]}["stagedoor:stage"] == "live"
    assert stack["Parameters"] == [{"ParameterKey": "Word", "ParameterValue": "given"}]
    assert stack["Outputs"][0]["ExportName"] == "the-word"
    body = cloudformation.get_template(StackName="Tiny")["TemplateBody"]
    assert body["Resources"]["Word"]["DeletionPolicy"] == "Retain"
    assert body["Resources"]["More"] == MORE

    assert stagedoor.result("deploy", "--stage", "live")["unchanged"]
    assert "Add --confirm live." in stagedoor("remove", "--stage", "live", "--yes").stderr
    removed = stagedoor.result("remove", "--stage", "live", "--confirm", "live")
    assert removed["deleted"] == ["Tiny"]
    assert [kept["type"] for kept in removed["kept"]] == ["AWS::SSM::Parameter"]


def test_another_tool_can_still_update_it_and_then_it_must_be_adopted_again(
    stagedoor: Command, cloudformation: CloudFormationClient
):
    deployed_elsewhere(cloudformation)
    write_app(stagedoor, TEMPLATE)
    assert stagedoor.result("deploy", "--stage", "prod", "--adopt")["ok"]
    # The CDK CLI sends the app's own tags, which ours are not among.
    cloudformation.update_stack(StackName="Tiny", TemplateBody=json.dumps(changed()), Tags=[{"Key": "a", "Value": "b"}])
    beside = stagedoor("deploy", "--stage", "prod")
    assert "Take them over with --adopt" in beside.stderr


def test_nothing_is_adopted_without_being_asked_for(stagedoor: Command, cloudformation: CloudFormationClient):
    deployed_elsewhere(cloudformation)
    write_app(stagedoor, TEMPLATE)
    dev = stagedoor.result("deploy", "--stage", "dev")
    assert dev["stacks"][0]["name"] != "Tiny"
    assert cloudformation.describe_stacks(StackName="Tiny")["Stacks"][0]["Tags"] == []
    refused = stagedoor("deploy", "--stage", "dev", "--adopt")
    assert refused.returncode == 1
    assert "has stacks of its own already" in refused.stderr


def test_what_belongs_to_another_stage_is_not_adopted(stagedoor: Command, cloudformation: CloudFormationClient):
    deployed_elsewhere(cloudformation, {"stagedoor:stage": "prod", "stagedoor:service": "abc"})
    write_app(stagedoor, TEMPLATE)
    refused = stagedoor("deploy", "--stage", "mine", "--adopt")
    assert refused.returncode == 1
    assert "it belongs to stage 'prod', service 'abc'" in refused.stderr


def test_where_there_is_nothing_to_adopt(stagedoor: Command):
    refused = stagedoor("deploy", "--stage", "mine", "--adopt")
    assert refused.returncode == 1
    assert "None of the app's stacks (Tiny) is in account" in refused.stderr


def test_a_stack_that_the_app_adds_later_belongs_to_the_adopted_stage(
    stagedoor: Command, cloudformation: CloudFormationClient
):
    deployed_elsewhere(cloudformation)
    write_app(stagedoor, TEMPLATE)
    assert stagedoor.result("deploy", "--stage", "live", "--adopt")["ok"]
    program = stagedoor.folder / "app.py"
    later = '(out / "Later.template.json").write_text(json.dumps({"Resources": {"T": {"Type": "AWS::SNS::Topic"}}}))'
    both = '{"Tiny": stack, "Later": {**stack, "properties": {"templateFile": "Later.template.json"}}}'
    text = program.read_text().replace('{"Tiny": stack}', both).replace("stack = {", f"{later}\nstack = {{", 1)
    program.write_text(text)
    stacks = stagedoor.result("deploy", "--stage", "live")["stacks"]
    assert sorted(stack["name"] for stack in stacks) == ["Later", "Tiny"]
