"""An SQS queue, and the function that works it off."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from aws_cdk import Duration, Names
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stagedoor.constructs.binding import Binding, tell
from stagedoor.constructs.dead_letters import dead_letters as queue_for
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.grants.queue import consume_statements, queue_binding
from stagedoor.constructs.stage import stage_of
from stagedoor.constructs.words import check_nodes, keyed

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_

TIMES_THE_TIMEOUT = 6
"""What a queue's visibility timeout is to be of its consumer's timeout, at least, so that a message does not come again
while Lambda still tries to have the function take it
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html)."""

MAX_RECEIVES = 5
"""How often a message is given out before it is a dead letter; no less is advised there, too: a function that is busy
refuses messages that are not at fault."""

_LAMBDA_DEFAULT_SECONDS = 3.0
_BATCH_WITHOUT_WINDOW = 10
_SQS_DEFAULT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class QueueNodes:
    """The resources of a queue; `consumer` and `mapping`, what feeds it, are there where it has a consumer."""

    queue: sqs.Queue
    dead_letters: sqs.IQueue | None
    consumer: "lambda_.IFunction | None" = None
    mapping: "lambda_.EventSourceMapping | None" = None


class Queue(Construct):
    """An SQS queue.

        Queue(stack, "Jobs", consumer="functions/jobs.work", batch_size=5)

    `consumer` is the function that gets its messages, `batch_size` at a time (10) or what has come within
    `batch_window` seconds; at most `max_concurrency` of it run at once. It may answer which messages of a batch failed;
    only those come again, after `visibility_timeout` seconds, by default six times the consumer's timeout. What was
    given out `max_receives` times (5) goes to a queue, `dead_letters`: True for one of its own, False, or a Queue.

    `delay` is in seconds, `retention` in days. A `fifo` queue keeps the order within a message group, and takes equal
    messages within five minutes as one.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        consumer: object = None,
        batch_size: int = 10,
        batch_window: float = 0,
        max_concurrency: int | None = None,
        visibility_timeout: float | None = None,
        max_receives: int = MAX_RECEIVES,
        dead_letters: object = True,
        fifo: bool = False,
        delay: float = 0,
        retention: float = 4,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_nodes(cdk, "queue", "dead_letters", "mapping", where=self.node.path)
        function = None
        if consumer is not None:
            from stagedoor.constructs.new_destination import called_function

            self._check_batch(batch_size, batch_window, fifo=fifo)
            function = called_function(self, f"{construct_id}Consumer", consumer)
            visibility_timeout = self._visibility(function, visibility_timeout, batch_window)
        letters = queue_for(self, dead_letters, cdk, fifo=fifo)
        queue = sqs.Queue(
            self,
            "Queue",
            **{
                "visibility_timeout": Duration.seconds(visibility_timeout or _SQS_DEFAULT_SECONDS),
                "dead_letter_queue": sqs.DeadLetterQueue(max_receive_count=max_receives, queue=letters)
                if letters is not None
                else None,
                "delivery_delay": Duration.seconds(delay),
                "retention_period": Duration.seconds(retention * 86400),
                "fifo": fifo or None,
                "content_based_deduplication": fifo or None,
                "enforce_ssl": True,
                "removal_policy": stage_of(self).removal_policy,
                **keyed(cdk, "queue"),
            },
        )
        self._nodes = QueueNodes(queue, letters)
        if function is not None:
            mapping = self._feed(function, batch_size, batch_window, max_concurrency, cdk)
            self._nodes = QueueNodes(queue, letters, function, mapping)
        tell(self.binding)

    @property
    def nodes(self) -> QueueNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it: to send."""
        return replace(queue_binding(self._nodes.queue, self.node.id), owner=self)

    def send(self) -> Binding:
        """Bind for sending."""
        return self.binding.with_access("send")

    def receive(self) -> Binding:
        """Bind for receiving in code of one's own; a consumer needs no more than it has."""
        return self.binding.with_access("receive")

    def _check_batch(self, size: int, window: float, *, fifo: bool) -> None:
        """Refuse what Lambda would (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html)."""
        if fifo and (size > _BATCH_WITHOUT_WINDOW or window):
            raise ConstructError(
                "A FIFO queue gives out at most ten messages at a time, and waits for none.",
                f"Write batch_size={_BATCH_WITHOUT_WINDOW} or less, and no batch_window.",
                self.node.path,
            )
        if size > _BATCH_WITHOUT_WINDOW and window < 1:
            raise ConstructError(
                f"A batch of {size} messages takes a while to come together.",
                "Write batch_window=1 or more, in seconds.",
                self.node.path,
            )

    def _visibility(self, function: "lambda_.IFunction", said: float | None, window: float) -> float:
        timeout = _timeout_of(function)
        if said is not None and (timeout is None or said >= timeout):
            return said
        if timeout is None:
            raise ConstructError(
                "The timeout of the consumer is not known, as it was imported.",
                "Write visibility_timeout=…, six times that timeout, in seconds.",
                self.node.path,
            )
        wanted = max(_SQS_DEFAULT_SECONDS, math.ceil(TIMES_THE_TIMEOUT * timeout + window))
        if said is not None:
            raise ConstructError(
                f"A message would come again after {said:g} seconds, while the consumer may take {timeout:g}.",
                f"Leave visibility_timeout out, which makes it {wanted:g}.",
                self.node.path,
            )
        return wanted

    def _feed(
        self,
        function: "lambda_.IFunction",
        batch_size: int,
        batch_window: float,
        max_concurrency: int | None,
        cdk: Mapping[str, Mapping[str, Any]] | None,
    ) -> "lambda_.EventSourceMapping":
        from aws_cdk import aws_iam as iam
        from aws_cdk import aws_lambda as lambda_

        for needed in consume_statements(self._nodes.queue):
            function.add_to_role_policy(
                iam.PolicyStatement(actions=list(needed.actions), resources=list(needed.resources))
            )
        # In the function's stack, which needs the queue's already: the role is to be allowed to read it.
        return lambda_.EventSourceMapping(
            cast(Construct, function),
            f"From{Names.node_unique_id(self.node)}",
            **{
                "target": function,
                "event_source_arn": self._nodes.queue.queue_arn,
                "batch_size": batch_size,
                "max_batching_window": Duration.seconds(batch_window) if batch_window else None,
                "max_concurrency": max_concurrency,
                "report_batch_item_failures": True,
                **keyed(cdk, "mapping"),
            },
        )


def _timeout_of(function: "lambda_.IFunction") -> float | None:
    """Return a function's timeout in seconds; None for one that was imported."""
    from stagedoor.constructs.function import our_function

    ours = our_function(function)
    inner = ours.nodes.function if ours is not None else function
    if not hasattr(inner, "timeout"):
        return None
    timeout: Duration | None = inner.timeout
    return timeout.to_milliseconds() / 1000 if timeout is not None else _LAMBDA_DEFAULT_SECONDS
