"""What AWS's SDK raises when it is not the request that is wrong, but who asks, or the way there.

No app can put these right: the person at the command line, or the operator of the target, can.
"""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ProfileNotFound,
)

from stagedoor.errors import TargetUnusable, UserError

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})
_STALE = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)
_TOO_MANY = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})
"""Codes of https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/CommonErrors.html and their kin in S3."""


_UNKNOWN_CALL = frozenset({"InvalidAction", "UnknownOperationException", "NotImplemented", "UnsupportedOperation"})


class NoCredentials(TargetUnusable):
    """There are no AWS credentials, or they cannot be used."""

    id = "no-credentials"


class AccessDenied(TargetUnusable):
    """The credentials are not allowed to do what is needed."""

    id = "access-denied"


class AwsUnreachable(TargetUnusable):
    """AWS could not be reached."""

    id = "aws-unreachable"


def as_user_error(error: BaseException) -> UserError | None:
    """Return what a person can do about an error of the AWS SDK; None where it is ours to look into."""
    match error:
        case NoCredentialsError():
            return NoCredentials(
                "There are no AWS credentials.", "Sign in with `aws sso login` or `aws configure`, or name a --profile."
            )
        case ProfileNotFound():
            return NoCredentials(f"{error}.", "`aws configure list-profiles` names those that there are.")
        case ConnectionError() | HTTPClientError():
            return AwsUnreachable("AWS could not be reached.", "See that the network is up.", detail=str(error))
        case ClientError():
            return _refusal(error)
        case BotoCoreError() if "oken" in type(error).__name__ or "Credential" in type(error).__name__:
            return NoCredentials("The AWS credentials cannot be used.", "Sign in again.", detail=str(error))
    return None


def judges_request(error: ClientError) -> bool:
    """Whether AWS says that the request itself is wrong, so that the same one would be refused again and always."""
    code = error.response["Error"]["Code"]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return status < 500 and code not in _DENIED | _STALE | _TOO_MANY


def may_not_ask(error: ClientError) -> bool:
    """Whether a question got no answer because of who asks, or because what answers (an emulator) does not know it."""
    code = error.response["Error"]["Code"]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return code in _DENIED or code in _UNKNOWN_CALL or status == 501


def _refusal(error: ClientError) -> UserError | None:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    if code in _STALE:
        return NoCredentials(f"AWS does not accept the credentials: {message}", "Sign in again.")
    if code in _DENIED:
        return AccessDenied(
            f"These credentials may not call {error.operation_name}.",
            "Use others, or have them allowed it.",
            detail=message,
        )
    return None
