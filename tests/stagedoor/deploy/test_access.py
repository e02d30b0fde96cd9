"""What the AWS SDK raises, as a person can use it."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, TokenRetrievalError

from stagedoor.deploy.access import as_user_error

DENIAL = (
    "User: arn:aws:sts::1:assumed-role/deployer/stagedoor is not authorized to perform: cloudformation:CreateChangeSet "
    "on resource: arn:aws:cloudformation:us-east-1:1:stack/a/1 because no identity-based policy allows it"
)


def refusal(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "CreateChangeSet")


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (refusal("AccessDenied"), "These credentials may not call CreateChangeSet.", "have them allowed it"),
        (
            refusal("AccessDenied", DENIAL),
            "role/deployer/stagedoor may not call cloudformation:CreateChangeSet.",
            "have",
        ),
        (refusal("OptInRequired"), "may not use this region", "Enable the region"),
        (refusal("Throttling"), "again and again", "fewer deploys"),
        (refusal("ExpiredToken"), "AWS does not accept the credentials: no", "Sign in again."),
        (TokenRetrievalError(provider="sso", error_msg="expired"), "cannot be used", "Sign in again."),
        (EndpointConnectionError(endpoint_url="https://x"), "AWS could not be reached.", "network"),
    ],
)
def test_what_a_person_can_cure(error: Exception, what: str, remedy: str):
    told = as_user_error(error)
    assert told
    assert what in told.what
    assert remedy in told.remedy


@pytest.mark.parametrize("error", [refusal("InternalFailure"), ValueError()])
def test_what_is_ours(error: Exception):
    assert as_user_error(error) is None
