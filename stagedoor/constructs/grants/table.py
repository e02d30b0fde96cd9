"""What each resource of aws-cdk-lib gives to code that is bound to it: the one place where permissions are decided.

Every action is named, and every resource; where AWS has no narrower form it says so with AWS's page. Actions and the
resources that they take: https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html.
"""

from collections.abc import Callable, Sequence
from typing import Any

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from stagedoor.constructs.binding import Binding, Statement, statement
from stagedoor.constructs.errors import ConstructError

READ, WRITE = "read", "write"


def binding_of_cdk(resource: object) -> Binding:
    """Return what a construct of aws-cdk-lib gives. Raises `ConstructError` for one that cannot be bound."""
    for kind, make in _KINDS.items():
        if isinstance(resource, Construct) and _is_a(resource, kind):
            return make(resource, resource.node.id)
    where = resource.node.path if isinstance(resource, Construct) else ""
    raise ConstructError(
        f"{type(resource).__name__} cannot be bound.",
        "Give the function what it needs by its environment and add_to_role_policy.",
        where,
    )


def table_binding(table: Any, name: str, indexes: Sequence[str] | None = None) -> Binding:
    """Return what a DynamoDB table gives. `indexes` are named where they are known; else all of the table's are meant,
    as an imported table does not tell them (https://docs.aws.amazon.com/service-authorization/latest/reference/
    list_amazondynamodb.html: Query and Scan take a table and an index).
    """
    arn = table.table_arn
    named = [f"{arn}/index/{index}" for index in indexes] if indexes is not None else [f"{arn}/index/*"]
    read: list[Statement] = [
        statement("dynamodb:GetItem dynamodb:BatchGetItem dynamodb:ConditionCheckItem dynamodb:DescribeTable", arn),
        statement("dynamodb:Query dynamodb:Scan", arn, *named),
    ]
    write = [statement("dynamodb:PutItem dynamodb:UpdateItem dynamodb:DeleteItem dynamodb:BatchWriteItem", arn)]
    key = getattr(table, "encryption_key", None)
    if key is not None:
        read.append(statement("kms:Decrypt kms:DescribeKey", key.key_arn))
        write.append(statement("kms:Encrypt kms:Decrypt kms:GenerateDataKey", key.key_arn))
    return Binding(
        "Table",
        name,
        table,
        {"table_name": table.table_name},
        {READ: tuple(read), WRITE: tuple(write)},
        (READ, WRITE),
    )


def _is_a(resource: Construct, kind: type) -> bool:
    """Whether it implements an interface of aws-cdk-lib; to Python that is a protocol, which `isinstance` does not ask.

    jsii writes a class's interfaces into `__jsii_ifaces__`.
    """
    classes = type(resource).__mro__
    interfaces = [interface for each in classes for interface in getattr(each, "__jsii_ifaces__", ())]
    return any(kind in interface.__mro__ for interface in interfaces)


_Make = Callable[[Any, str], Binding]
_KINDS: dict[type, _Make] = {
    dynamodb.ITable: table_binding,
}
