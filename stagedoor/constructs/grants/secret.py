"""Secrets of Secrets Manager."""

from typing import Any

from aws_cdk import ArnFormat, Stack

from stagedoor.constructs.binding import Binding, statement
from stagedoor.constructs.grants.key import decrypt


def secret_binding(secret: Any, name: str) -> Binding:
    """Return what a secret of aws-cdk-lib gives. It is read through the parameter store, as ours are, which takes a
    permission for either service
    (https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html).

    Of a secret that was imported by its name the end of its ARN is not known: six characters
    (https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen).
    """
    parameter = f"/aws/reference/secretsmanager/{secret.secret_name}"
    arn = secret.secret_full_arn or f"{secret.secret_arn}-??????"
    parameter_arn = Stack.of(secret).format_arn(
        service="ssm",
        resource="parameter",
        resource_name=parameter.removeprefix("/"),
        arn_format=ArnFormat.SLASH_RESOURCE_NAME,
    )
    read = (
        statement("secretsmanager:GetSecretValue secretsmanager:DescribeSecret", arn),
        statement("ssm:GetParameters", parameter_arn),
        *decrypt(secret.encryption_key),
    )
    return Binding(
        "Secret",
        name,
        secret,
        {"parameter_name": parameter, "secret_arn": secret.secret_arn},
        {"read": read},
        ("read",),
        typed=("value",),
    )
