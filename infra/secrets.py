"""What the service must be told and nobody else may know: kept in the parameter store, set by `stagedoor setup`."""

from collections.abc import Mapping

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from stagedoor.constructs import Secret
from stagedoor.constructs.secret import stored_names

NAMES = ("GithubAppId", "GithubPrivateKey", "GithubWebhookSecrets", "ConsolePassword", "TokenKey")
"""The secrets' names; each is the variable `STAGEDOOR_GITHUB_APP_ID`, … of the service's processes."""


def variable(name: str) -> str:
    """Return the variable that has a secret in the service's environment."""
    return "STAGEDOOR" + "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name)


def secrets(scope: Construct) -> Mapping[str, str]:
    """Declare the secrets, which `stagedoor deploy` asks for; return the parameters' names by variable."""
    return {variable(name): stored_names(Secret(scope, name))[0] for name in NAMES}


def for_container(scope: Construct, parameters: Mapping[str, str]) -> dict[str, ecs.Secret]:
    """Return what ECS puts into a container's environment when it starts."""
    return {
        name: ecs.Secret.from_ssm_parameter(
            ssm.StringParameter.from_secure_string_parameter_attributes(
                scope, f"{name}Parameter", parameter_name=parameter
            )
        )
        for name, parameter in parameters.items()
    }
