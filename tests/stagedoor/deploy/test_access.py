"""What the AWS SDK raises, as a person can use it."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, TokenRetrievalError

from stagedoor.deploy.access import as_user_error


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateChangeSet")


@pytest.mark.parametrize(
    ("error", "what", "remedy"),
    [
        (refusal("AccessDenied"), "These credentials may not call CreateChangeSet.", "have them allowed it"),
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
