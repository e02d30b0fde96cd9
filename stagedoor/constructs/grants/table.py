"""DynamoDB tables."""

from collections.abc import Sequence
from typing import Any

from stagedoor.constructs.binding import Binding, Statement, statement
from stagedoor.constructs.grants.key import decrypt, encrypt

READ, WRITE = "read", "write"


def table_binding(table: Any, name: str, indexes: Sequence[str] | None = None) -> Binding:
    """Return what a DynamoDB table gives. `indexes` are named where they are known; else all of the table's are meant,
    as a table of aws-cdk-lib does not tell them (https://docs.aws.amazon.com/service-authorization/latest/reference/
    list_amazondynamodb.html: Query and Scan take a table and an index).
    """
    arn = table.table_arn
    named = [f"{arn}/index/{index}" for index in indexes] if indexes is not None else [f"{arn}/index/*"]
    key = getattr(table, "encryption_key", None)
    read: list[Statement] = [
        statement("dynamodb:GetItem dynamodb:BatchGetItem dynamodb:ConditionCheckItem dynamodb:DescribeTable", arn),
        statement("dynamodb:Query dynamodb:Scan", arn, *named),
        *decrypt(key),
    ]
    write = [
        statement("dynamodb:PutItem dynamodb:UpdateItem dynamodb:DeleteItem dynamodb:BatchWriteItem", arn),
        *encrypt(key),
    ]
    return Binding(
        "Table",
        name,
        table,
        {"table_name": table.table_name},
        {READ: tuple(read), WRITE: tuple(write)},
        (READ, WRITE),
    )


def stream_statement(table: Any) -> Statement:
    """Return what Lambda needs of the role of a function that a table's stream is read for; all four on the stream, as
    in https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/iam-policy-example-lamda-process-dynamodb-streams.html.
    """
    return statement(
        "dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator dynamodb:ListStreams",
        table.table_stream_arn,
    )
