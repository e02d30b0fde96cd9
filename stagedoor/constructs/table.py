"""A DynamoDB table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from stagedoor.constructs.binding import Binding, tell
from stagedoor.constructs.grants import table_binding
from stagedoor.constructs.stage import stage_of
from stagedoor.constructs.words import keyed

TYPES = {
    "string": dynamodb.AttributeType.STRING,
    "number": dynamodb.AttributeType.NUMBER,
    "binary": dynamodb.AttributeType.BINARY,
}


@dataclass(frozen=True, slots=True)
class TableNodes:
    """The resources of a table."""

    table: dynamodb.Table


class Table(Construct):
    """A DynamoDB table, paid by request.

        Table(stack, "Notes", partition_key="id")

    A key is an attribute's name, whose type is `string`, or `name: number`, `name: binary`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        partition_key: str,
        sort_key: str | None = None,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        stage = stage_of(self)
        table = dynamodb.Table(
            self,
            "Table",
            **{
                "partition_key": _attribute(partition_key),
                "sort_key": _attribute(sort_key) if sort_key else None,
                "billing_mode": dynamodb.BillingMode.PAY_PER_REQUEST,
                "removal_policy": stage.removal_policy,
                "deletion_protection": stage.lasting,
                **keyed(cdk, "table"),
            },
        )
        self._nodes = TableNodes(table)
        self._indexes: Sequence[str] = ()
        tell(self.binding)

    @property
    def nodes(self) -> TableNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it."""
        return table_binding(self._nodes.table, self.node.id, self._indexes)

    def read(self) -> Binding:
        """Bind for reading only."""
        return self.binding.with_access("read")

    def write(self) -> Binding:
        """Bind for writing only."""
        return self.binding.with_access("write")


def _attribute(key: str) -> dynamodb.Attribute:
    name, _, kind = key.partition(":")
    return dynamodb.Attribute(name=name.strip(), type=TYPES[kind.strip() or "string"])
