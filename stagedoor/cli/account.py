"""Where a command works: the account and region of the caller's own credentials."""

import os
from pathlib import Path

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    InvalidRegionError,
    NoCredentialsError,
    ProfileNotFound,
    UnknownRegionError,
)

from stagedoor.errors import UserError
from stagedoor.synth.settings import read_settings
from stagedoor.target import Target, Trust

QUALIFIER = "@aws-cdk/core:bootstrapQualifier"
"""The key of `cdk.json`'s context that names the bootstrap
(https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html)."""

_ENVIRONMENT_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"})
_STALE = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)


class NoCredentials(UserError):
    """There are no AWS credentials, or they cannot be used."""

    id = "no-credentials"


class NoRegion(UserError):
    """Nothing says which region, or it is none."""

    id = "no-region"


class AccessDenied(UserError):
    """The credentials are not allowed to do what a command needs."""

    id = "access-denied"


class AwsUnreachable(UserError):
    """AWS could not be reached."""

    id = "aws-unreachable"


def use_profile(profile: str | None) -> None:
    """Make a profile the one that every AWS client of this process uses.

    Keys in the environment would come before it, so they go: whoever names a profile means it.
    """
    if profile is None:
        return
    os.environ["AWS_PROFILE"] = profile
    for name in _ENVIRONMENT_CREDENTIALS:
        os.environ.pop(name, None)


def find_target(region: str | None, qualifier: str, trust: Trust) -> Target:
    """Return the caller's own account as a target, without roles: the caller is its operator.

    Raises `NoCredentials`, `NoRegion`, `AwsUnreachable`.
    """
    try:
        session = boto3.Session(region_name=region)
        region = session.region_name
        if not region:
            raise NoRegion("Nothing says which AWS region is meant.", "Name one with --region, or set AWS_REGION.")
        partition = session.get_partition_for_region(region)
        account = session.client("sts").get_caller_identity()["Account"]
        return Target("caller", account, region, partition, trust, qualifier)
    except (UnknownRegionError, InvalidRegionError):
        raise NoRegion(f"There is no AWS region {region!r}.", "Name one with --region, such as eu-west-1.") from None
    except (BotoCoreError, ClientError) as error:
        raise as_user_error(error) or error from error


def qualifier_of(app_dir: Path, root: Path) -> str:
    """Return the bootstrap qualifier that an app asks for, else CDK's default."""
    asked = read_settings(app_dir, root).context.get(QUALIFIER)
    return asked if isinstance(asked, str) and asked else Target("", "", "").qualifier


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
