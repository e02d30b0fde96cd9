"""What the service must be told and nobody else may know: kept in the parameter store, set by `stagedoor setup`.

It is not in the folder /stagedoor, where the secrets of apps are: a target's roles may look into that and delete there.
So these are not our `Secret` construct, either.
"""

from collections.abc import Mapping

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from stagedoor.constructs.stage import stage_of

NAMES = ("GithubAppId", "GithubPrivateKey", "GithubWebhookSecrets", "ConsolePassword", "TokenKey")
"""The secrets' names; each is the variable `STAGEDOOR_GITHUB_APP_ID`, … of the service's processes."""


def variable(name: str) -> str:
    """Return the variable that has a secret in the service's environment."""
    return "STAGEDOOR" + "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name)


def folder(scope: Construct) -> str:
    """Return the parameters' folder, which is `setup`'s `--store ssm:…`."""
    return f"/stagedoor-service/{stage_of(scope).name}"


def parameters(scope: Construct) -> Mapping[str, str]:
    """Return the parameters' names by variable."""
    return {variable(name): f"{folder(scope)}/{name}" for name in NAMES}


def for_container(scope: Construct) -> dict[str, ecs.Secret]:
    """Return what ECS puts into a container's environment when it starts; it starts none that lacks one."""
    return {
        name: ecs.Secret.from_ssm_parameter(
            ssm.StringParameter.from_secure_string_parameter_attributes(
                scope, f"{name}Parameter", parameter_name=parameter
            )
        )
        for name, parameter in parameters(scope).items()
    }
