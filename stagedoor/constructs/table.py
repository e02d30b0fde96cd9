"""A DynamoDB table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from stagedoor.constructs.binding import Binding, tell
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.grants.table import table_binding
from stagedoor.constructs.stage import stage_of
from stagedoor.constructs.words import check_nodes, keyed

if TYPE_CHECKING:
    from aws_cdk import aws_sqs as sqs

    from stagedoor.constructs.table_consumers import TableConsumer

_Value = TypeVar("_Value")

TYPES = {
    "string": dynamodb.AttributeType.STRING,
    "number": dynamodb.AttributeType.NUMBER,
    "binary": dynamodb.AttributeType.BINARY,
}
STREAMS = {
    "keys": dynamodb.StreamViewType.KEYS_ONLY,
    "new": dynamodb.StreamViewType.NEW_IMAGE,
    "old": dynamodb.StreamViewType.OLD_IMAGE,
    "both": dynamodb.StreamViewType.NEW_AND_OLD_IMAGES,
}
_INDEX_WORDS = frozenset({"partition_key", "sort_key", "projection"})


@dataclass(frozen=True, slots=True)
class TableNodes:
    """The resources of a table; `consumers` by their names."""

    table: dynamodb.Table
    dead_letters: "sqs.IQueue | None" = None
    consumers: "Mapping[str, TableConsumer]" = field(default_factory=dict)


class Table(Construct):
    """A DynamoDB table, paid by request.

        Table(
            stack,
            "Notes",
            partition_key="author",
            sort_key="created: number",
            indexes={"ByTopic": {"partition_key": "topic", "sort_key": "created: number", "projection": ["title"]}},
            local_indexes={"ByTitle": "title"},
            ttl="expires",
            consumers={"Index": "functions/notes.index"},
        )

    A key is an attribute's name, whose type is `string`, or `name: number`, `name: binary`. `indexes` are global ones,
    by name: a partition key, or `partition_key`, `sort_key` and `projection`, which is `all` (the default), `keys` or
    the names of attributes; `local_indexes` have a sort key or `sort_key` and `projection`. `ttl` is the attribute with
    the second, since 1970, after which an item goes.

    `consumers` get what changes, from a stream that has of an item what `stream` says: `both` the old and the new one
    (the default), `new`, `old` or `keys`. A consumer is a function, or `{"to": function}` with any of `batch_size`
    (100), `batch_window` in seconds, `filters` (Lambda's own), `retries` (5) and `from_start`. It may answer which
    items of a batch failed; what fails for good is told to a queue, `dead_letters`: True for one of its own, False, or
    a Queue.

    In stages that are to last, any second of the last 35 days can be had back.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        partition_key: str,
        sort_key: str | None = None,
        indexes: Mapping[str, str | Mapping[str, Any]] | None = None,
        local_indexes: Mapping[str, str | Mapping[str, Any]] | None = None,
        ttl: str | None = None,
        stream: str | None = None,
        consumers: Mapping[str, object] | None = None,
        dead_letters: object = True,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_nodes(cdk, "table", "dead_letters", where=self.node.path)
        stage = stage_of(self)
        view = stream or ("both" if consumers else None)
        table = dynamodb.Table(
            self,
            "Table",
            **{
                "partition_key": self._attribute(partition_key),
                "sort_key": self._attribute(sort_key) if sort_key else None,
                "billing_mode": dynamodb.BillingMode.PAY_PER_REQUEST,
                "time_to_live_attribute": ttl,
                "stream": self._one_of(STREAMS, view) if view else None,
                "removal_policy": stage.removal_policy,
                "deletion_protection": stage.lasting,
                "point_in_time_recovery_specification": dynamodb.PointInTimeRecoverySpecification(
                    point_in_time_recovery_enabled=stage.lasting
                ),
                **keyed(cdk, "table"),
            },
        )
        self._indexes: Sequence[str] = (*(indexes or ()), *(local_indexes or ()))
        self._add_indexes(table, indexes or {}, local_indexes or {})
        self._nodes = TableNodes(table)
        tell(self.binding)
        if consumers:
            from stagedoor.constructs.dead_letters import dead_letters as queue_for
            from stagedoor.constructs.table_consumers import consume

            letters = queue_for(self, dead_letters, cdk)
            self._nodes = TableNodes(
                table, letters, {name: consume(self, name, table, each, letters) for name, each in consumers.items()}
            )

    @property
    def nodes(self) -> TableNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it."""
        return replace(table_binding(self._nodes.table, self.node.id, self._indexes), owner=self)

    def read(self) -> Binding:
        """Bind for reading only."""
        return self.binding.with_access("read")

    def write(self) -> Binding:
        """Bind for writing only."""
        return self.binding.with_access("write")

    def _add_indexes(
        self,
        table: dynamodb.Table,
        indexes: Mapping[str, str | Mapping[str, Any]],
        local_indexes: Mapping[str, str | Mapping[str, Any]],
    ) -> None:
        for name, said in indexes.items():
            index = self._index(said, "partition_key")
            sort_key = index.get("sort_key")
            table.add_global_secondary_index(
                index_name=name,
                partition_key=self._attribute(index["partition_key"]),
                sort_key=self._attribute(sort_key) if sort_key else None,
                **_projection(index.get("projection", "all")),
            )
        for name, said in local_indexes.items():
            index = self._index(said, "sort_key")
            table.add_local_secondary_index(
                index_name=name,
                sort_key=self._attribute(index["sort_key"]),
                **_projection(index.get("projection", "all")),
            )

    def _index(self, said: str | Mapping[str, Any], key: str) -> Mapping[str, Any]:
        index = {key: said} if isinstance(said, str) else said
        if key not in index or not set(index) <= _INDEX_WORDS:
            raise ConstructError(
                f"An index cannot be made of {', '.join(index) or 'nothing'}.",
                f"It has a {key}, and may have {', '.join(sorted(_INDEX_WORDS - {key}))}.",
                self.node.path,
            )
        return index

    def _attribute(self, key: str) -> dynamodb.Attribute:
        name, _, kind = key.partition(":")
        return dynamodb.Attribute(name=name.strip(), type=self._one_of(TYPES, kind.strip() or "string"))

    def _one_of(self, words: Mapping[str, _Value], word: str) -> _Value:
        if word not in words:
            raise ConstructError(f"{word!r} is not known here.", f"Write one of {', '.join(words)}.", self.node.path)
        return words[word]


def _projection(said: str | Sequence[str]) -> dict[str, Any]:
    if said == "all":
        return {"projection_type": dynamodb.ProjectionType.ALL}
    if said == "keys":
        return {"projection_type": dynamodb.ProjectionType.KEYS_ONLY}
    names = [said] if isinstance(said, str) else list(said)
    return {"projection_type": dynamodb.ProjectionType.INCLUDE, "non_key_attributes": names}
