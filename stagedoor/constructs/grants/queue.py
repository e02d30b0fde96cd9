"""SQS queues."""

from typing import Any

from stagedoor.constructs.binding import Binding, Statement, statement
from stagedoor.constructs.grants.key import decrypt, encrypt


def queue_binding(queue: Any, name: str) -> Binding:
    """Return what a queue gives."""
    key = queue.encryption_master_key
    receive = "sqs:ReceiveMessage sqs:DeleteMessage sqs:ChangeMessageVisibility sqs:GetQueueAttributes"
    return Binding(
        "Queue",
        name,
        queue,
        {"queue_url": queue.queue_url},
        {
            "send": (statement("sqs:SendMessage", queue.queue_arn), *encrypt(key)),
            "receive": (statement(receive, queue.queue_arn), *decrypt(key)),
        },
        ("send",),
    )


def consume_statements(queue: Any) -> tuple[Statement, ...]:
    """Return what Lambda needs of the role of a function that it takes messages for
    (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html).
    """
    actions = "sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes"
    return statement(actions, queue.queue_arn), *decrypt(queue.encryption_master_key)
