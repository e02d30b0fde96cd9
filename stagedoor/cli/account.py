"""Where a command works: the account and region of the caller's own credentials."""

import os
import re
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, InvalidRegionError

from stagedoor.deploy.access import as_user_error
from stagedoor.errors import UserError
from stagedoor.synth.settings import read_settings
from stagedoor.target import ImageBuilds, Target, Trust

QUALIFIER = "@aws-cdk/core:bootstrapQualifier"
"""The key of `cdk.json`'s context that names the bootstrap
(https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-customizing.html)."""

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d{1,2}$")
"""How regions are called. Which there are is not looked up: to load botocore's list takes a quarter of a second."""

_ENVIRONMENT_CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class NoRegion(UserError):
    """Nothing says which region, or it is none."""

    id = "no-region"


def use_profile(profile: str | None) -> None:
    """Make a profile the one that every AWS client of this process uses.

    Keys in the environment would come before it, so they go: whoever names a profile means it.
    """
    if profile is None:
        return
    os.environ["AWS_PROFILE"] = profile
    for name in _ENVIRONMENT_CREDENTIALS:
        os.environ.pop(name, None)


def find_target(session: botocore.session.Session, region: str | None, qualifier: str, trust: Trust) -> Target:
    """Return the caller's own account as a target, without roles: the caller is its operator, and the app's author.

    `session` has the caller's credentials, and knows the region where none is named.

    Raises `NoCredentials`, `NoRegion`, `AwsUnreachable`.
    """
    try:
        region = region or session.get_config_variable("region")
        if not region:
            raise NoRegion("Nothing says which AWS region is meant.", "Name one with --region, or set AWS_REGION.")
        if not _REGION.match(region):
            raise InvalidRegionError(region_name=region)
        sts: Any = session.create_client("sts", region)
        caller = sts.get_caller_identity()
        partition = caller["Arn"].split(":")[1]
        return Target(
            "caller", caller["Account"], region, partition, trust, qualifier, image_builds=ImageBuilds.TRUSTED
        )
    except InvalidRegionError:
        raise NoRegion(f"There is no AWS region {region!r}.", "Name one with --region, such as eu-west-1.") from None
    except (BotoCoreError, ClientError) as error:
        raise as_user_error(error) or error from error


def qualifier_of(app_dir: Path, root: Path) -> str:
    """Return the bootstrap qualifier that an app asks for, else CDK's default."""
    asked = read_settings(app_dir, root).context.get(QUALIFIER)
    return asked if isinstance(asked, str) and asked else Target("", "", "").qualifier
