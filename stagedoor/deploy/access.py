"""What AWS's SDK raises when it is not the request that is wrong, but who asks, or the way there.

No app can put these right: the person at the command line, or the operator of the target, can.
"""

import re

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from stagedoor.errors import TargetUnusable, UserError

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
"""Codes by which AWS says that credentials were good once, and are no longer."""

_STALE = EXPIRED | frozenset(
    {
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_TOO_MANY = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})
"""Codes of https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/CommonErrors.html and their kin in S3."""


_CLOSED = frozenset({"OptInRequired", "RegionDisabledException", "SubscriptionRequiredException"})
"""Codes of a region that the account has not enabled, or of a service that it has not signed up for."""

_WHO = re.compile(r"User: (?P<who>\S+) is not authorized to perform: (?P<action>[\w:*-]+)")
"""How AWS says who may not do what (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html)."""

_UNKNOWN_CALL = frozenset({"InvalidAction", "UnknownOperationException", "NotImplemented", "UnsupportedOperation"})


class NoCredentials(TargetUnusable):
    """There are no AWS credentials, or they cannot be used."""

    id = "no-credentials"


class AccessDenied(TargetUnusable):
    """The credentials are not allowed to do what is needed."""

    id = "access-denied"


class RegionClosed(TargetUnusable):
    """The account has not enabled the region, or not signed up for the service."""

    id = "region-closed"


class Throttled(TargetUnusable):
    """AWS went on refusing calls for being too many."""

    id = "throttled"


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
        case ConnectionError() | HTTPClientError() | ResponseParserError():  # the last: an answer that broke off
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
    return status < 500 and code not in _DENIED | _STALE | _TOO_MANY | _CLOSED


def is_denied(error: ClientError) -> bool:
    """Whether AWS says that whoever calls is not allowed to."""
    return error.response["Error"]["Code"] in _DENIED


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
        return _denial(error, message)
    if code in _CLOSED:
        return RegionClosed(
            f"The account may not use this region, or not {error.operation_name} in it: {message}",
            "Enable the region in the account's settings, or choose another.",
        )
    if code in _TOO_MANY:
        return Throttled(
            f"AWS refused {error.operation_name} again and again, for too many calls in this account.",
            "Try again in some minutes; fewer deploys at the same time help.",
            detail=message,
        )
    return None


def _denial(error: ClientError, message: str) -> UserError:
    named = _WHO.search(message)
    who, action = (named["who"], named["action"]) if named else ("These credentials", error.operation_name)
    return AccessDenied(f"{who} may not call {action}.", "Use others, or have them allowed it.", detail=message)
