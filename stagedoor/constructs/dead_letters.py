"""Where events go that could not be dealt with: a queue for each construct that hands events on."""

from collections.abc import Mapping
from typing import Any, cast

from aws_cdk import Duration, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stagedoor.constructs.cdk_types import is_a
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.stage import stage_of
from stagedoor.constructs.words import keyed

KEPT_DAYS = 14
"""How long a dead letter stays, the longest that SQS has: it is to be found after a holiday, too."""


def dead_letters(
    scope: Construct, wanted: object, cdk: Mapping[str, Mapping[str, Any]] | None, *, fifo: bool | None = None
) -> sqs.IQueue | None:
    """Return the queue for what fails: one of `scope`'s own for True, none for False, else the one that is `wanted`,
    a `Queue` of ours or a queue of aws-cdk-lib. Those of a FIFO queue are to be FIFO. Raises `ConstructError`.
    """
    if wanted is False or wanted is None:
        return None
    if wanted is not True:
        return _queue(scope, wanted)
    return sqs.Queue(
        scope,
        "DeadLetters",
        **{
            "retention_period": Duration.days(KEPT_DAYS),
            "enforce_ssl": True,
            "fifo": fifo or None,
            "removal_policy": stage_of(scope).removal_policy,
            **keyed(cdk, "dead_letters"),
        },
    )


def keep_failures(function: lambda_.IFunction, queue: sqs.IQueue | None) -> None:
    """Send to a queue what Lambda gives a function without waiting for it, and it fails on in all of three tries.

    A function has one such place: what was said before stays, as does a function of another stack, whose stack would
    have to wait for ours and ours for it.
    """
    if (
        queue is None
        or not isinstance(function, lambda_.Function | lambda_.Alias)
        or Stack.of(function) != Stack.of(queue)
    ):
        return
    if function.node.try_find_child("EventInvokeConfig") is None:
        from aws_cdk.aws_lambda_destinations import SqsDestination

        function.configure_async_invoke(on_failure=SqsDestination(queue))


def _queue(scope: Construct, wanted: object) -> sqs.IQueue:
    inner = getattr(getattr(wanted, "nodes", None), "queue", wanted)
    if not is_a(inner, "aws_sqs", "IQueue"):
        raise ConstructError(
            f"{type(wanted).__name__} is no queue for dead letters.",
            "Write True for one of its own, False for none, or a Queue.",
            scope.node.path,
        )
    return cast(sqs.IQueue, inner)
