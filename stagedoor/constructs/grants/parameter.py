"""Values in Systems Manager's parameter store: ours, and aws-cdk-lib's text parameters."""

from collections.abc import Mapping
from typing import Any

from aws_cdk import ArnFormat, Stack
from constructs import Construct

from stagedoor.constructs.binding import Binding, statement
from stagedoor.constructs.grants.key import decrypt


def stored_binding(kind: str, owner: Construct, parameter: str, fallback: str, more: Mapping[str, str]) -> Binding:
    """Return what a secret or parameter of ours gives: to read two names in the parameter store, the stage's own and
    the one that all stages fall back on. `more` are properties beside them.

    A secret is encrypted by the account's own key for the parameter store, which all who may read the parameter may use
    (https://docs.aws.amazon.com/kms/latest/developerguide/services-parameter-store.html), so no key is named.
    """
    arns = [_parameter_arn(owner, name) for name in (parameter, fallback)]
    return Binding(
        kind,
        owner.node.id,
        owner,
        {"parameter_name": parameter, "fallback_name": fallback, **more},
        {"read": (statement("ssm:GetParameters", *arns),)},
        ("read",),
        typed=("value",),
    )


def parameter_binding(parameter: Any, name: str) -> Binding:
    """Return what a parameter of aws-cdk-lib gives."""
    key = getattr(parameter, "encryption_key", None)
    return Binding(
        "Parameter",
        name,
        parameter,
        {"parameter_name": parameter.parameter_name},
        {"read": (statement("ssm:GetParameters", parameter.parameter_arn), *decrypt(key))},
        ("read",),
        typed=("value",),
    )


def _parameter_arn(owner: Construct, name: str) -> str:
    return Stack.of(owner).format_arn(
        service="ssm",
        resource="parameter",
        resource_name=name.removeprefix("/"),
        arn_format=ArnFormat.SLASH_RESOURCE_NAME,
    )
