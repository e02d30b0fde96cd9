"""CloudFormation says by text alone that there is no such stack; what else is not there is no stack."""

import pytest
from botocore.exceptions import ClientError

from stagedoor.deploy.stacks import is_missing


def refusal(text: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationError", "Message": text}}, "DescribeStacks")


@pytest.mark.parametrize("text", ["Stack with id notes does not exist", "Stack [notes] does not exist"])
def test_no_such_stack(text: str) -> None:
    assert is_missing(refusal(text))


@pytest.mark.parametrize(
    "text",
    [
        "Parameter 'Ami' failed to resolve: SSM parameter '/aws/service/ami' does not exist",
        "Export with name notes does not exist",
        "Role arn:aws:iam::123456789012:role/deploy is invalid or cannot be assumed",
    ],
)
def test_something_else(text: str) -> None:
    assert not is_missing(refusal(text))
