"""The script keeps the rules that AWS documents: what the tests of takeovers lean on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.cloudformation.account import ScriptedAccount
from tests.cloudformation.endpoint import ScriptedCloudFormation

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

TEMPLATE = '{"Resources": {"Value": {"Type": "AWS::SSM::Parameter"}}}'


@pytest.fixture
def aws() -> Iterator[ScriptedCloudFormation]:
    with ScriptedCloudFormation(ScriptedAccount(seconds=0.0)) as endpoint:
        yield endpoint


@pytest.fixture
def client(aws: ScriptedCloudFormation, monkeypatch: pytest.MonkeyPatch) -> "CloudFormationClient":
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    return boto3.Session().client("cloudformation")


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def test_a_repeated_token_is_the_same_request_and_refused_for_another(client: "CloudFormationClient"):
    for name in ("one", "two"):
        client.create_change_set(StackName=name, ChangeSetName=name, ChangeSetType="CREATE", TemplateBody=TEMPLATE)
    client.execute_change_set(StackName="one", ChangeSetName="one", ClientRequestToken="t")
    client.execute_change_set(StackName="one", ChangeSetName="one", ClientRequestToken="t")
    with pytest.raises(ClientError) as refused:
        client.execute_change_set(StackName="two", ChangeSetName="two", ClientRequestToken="t")
    assert code(refused) == "TokenAlreadyExistsException"
    events = client.describe_stack_events(StackName="one")["StackEvents"]
    assert [event["ResourceStatus"] for event in events].count("CREATE_IN_PROGRESS") == 2  # the stack and its resource


def test_an_executed_change_set_takes_the_others_with_it(client: "CloudFormationClient"):
    for name in ("first", "second"):
        client.create_change_set(StackName="s", ChangeSetName=name, ChangeSetType="CREATE", TemplateBody=TEMPLATE)
    client.execute_change_set(StackName="s", ChangeSetName="first")
    with pytest.raises(ClientError) as refused:
        client.execute_change_set(StackName="s", ChangeSetName="second")
    assert code(refused) == "ChangeSetNotFound"


def test_a_change_set_is_obsolete_after_another_update(aws: ScriptedCloudFormation, client: "CloudFormationClient"):
    aws.account.put("s", "CREATE_COMPLETE")
    client.create_change_set(StackName="s", ChangeSetName="late", TemplateBody=TEMPLATE)
    aws.account.update_by_hand("s", {"Resources": {}})
    with pytest.raises(ClientError) as refused:
        client.execute_change_set(StackName="s", ChangeSetName="late")
    assert code(refused) == "InvalidChangeSetStatus"


def test_a_change_set_without_changes_fails(aws: ScriptedCloudFormation, client: "CloudFormationClient"):
    aws.account.put("s", "CREATE_COMPLETE", template={"Resources": {"Value": {"Type": "AWS::SSM::Parameter"}}})
    client.create_change_set(StackName="s", ChangeSetName="same", TemplateBody=TEMPLATE)
    described = client.describe_change_set(StackName="s", ChangeSetName="same")
    assert described["Status"] == "FAILED"
    assert "didn't contain changes" in described["StatusReason"]
