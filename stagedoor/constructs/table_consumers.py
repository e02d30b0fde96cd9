"""Functions that get what changes in a table, by its stream."""

from dataclasses import dataclass
from typing import cast

from aws_cdk import Duration, Names
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_lambda_event_sources import SqsDlq
from constructs import Construct

from stagedoor.constructs.destination import opened
from stagedoor.constructs.grants.table import stream_statement
from stagedoor.constructs.new_destination import called_function

RETRIES = 5
"""How often a part of a batch is given again that failed. By Lambda's default it would be for a day, with all that
comes after it in the same shard waiting."""


@dataclass(frozen=True, slots=True)
class TableConsumer:
    """A function and what feeds it."""

    function: lambda_.IFunction
    mapping: lambda_.EventSourceMapping


def consume(
    scope: Construct, name: str, table: dynamodb.Table, said: object, letters: sqs.IQueue | None
) -> TableConsumer:
    """Let a function consume a table's stream; `said` is what `Table` documents of its consumers."""
    where = f"{scope.node.path}/{name}"
    to, options = opened(said, "batch_size", "batch_window", "filters", "retries", "from_start", where=where)
    function = called_function(scope, f"{scope.node.id}{name}", to)
    needed = stream_statement(table)
    function.add_to_role_policy(iam.PolicyStatement(actions=list(needed.actions), resources=list(needed.resources)))
    start = lambda_.StartingPosition
    # In the function's stack, which needs the table's already: the role is to be allowed to read the stream.
    mapping = lambda_.EventSourceMapping(
        cast(Construct, function),
        f"From{Names.node_unique_id(scope.node)}{name}",
        target=function,
        event_source_arn=table.table_stream_arn,
        starting_position=start.TRIM_HORIZON if options.get("from_start") else start.LATEST,
        batch_size=options.get("batch_size", 100),
        max_batching_window=Duration.seconds(options.get("batch_window", 0)),
        filters=[lambda_.FilterCriteria.filter(each) for each in options.get("filters", ())] or None,
        retry_attempts=options.get("retries", RETRIES),
        bisect_batch_on_error=True,
        report_batch_item_failures=True,
        on_failure=SqsDlq(letters) if letters is not None else None,
    )
    return TableConsumer(function, mapping)
