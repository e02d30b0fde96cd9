"""Who hears of a bucket's objects.

aws-cdk-lib has them set by a function of its own when the stack is deployed, one for each stack, since a bucket, a
function that hears of it and is bound to it would otherwise wait for each other. Its role may set the notifications of
the stack's own buckets, and has AWSLambdaBasicExecutionRole for its log: the one policy here that has a wildcard.
"""

from collections.abc import Mapping
from typing import Any, cast

from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as targets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stagedoor.constructs.dead_letters import dead_letters as queue_for
from stagedoor.constructs.dead_letters import keep_failures
from stagedoor.constructs.destination import opened
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.new_destination import destination

EVENTS = {
    "created": s3.EventType.OBJECT_CREATED,
    "removed": s3.EventType.OBJECT_REMOVED,
    "expired": s3.EventType.LIFECYCLE_EXPIRATION,
    "restored": s3.EventType.OBJECT_RESTORE_COMPLETED,
    "tagged": s3.EventType.OBJECT_TAGGING,
}


def notify(
    scope: Construct,
    bucket: s3.Bucket,
    notifications: Mapping[str, object],
    wanted: object,
    cdk: Mapping[str, Mapping[str, Any]] | None,
) -> sqs.IQueue | None:
    """Let them hear; what each says is as `Bucket` documents it. Return the queue of what functions failed on, None
    where no function hears.
    """
    found = {}
    for name, said in notifications.items():
        to, options = opened(said, "events", "prefix", "suffix", where=f"{scope.node.path}/{name}")
        found[name] = destination(scope, f"{scope.node.id}{name}", to, "function queue topic"), options
    functions = [to.function for to, _ in found.values() if to.function is not None]
    letters = queue_for(scope, wanted, cdk) if functions else None
    for function in functions:
        keep_failures(function, letters)
    for name, (to, options) in found.items():
        target: s3.IBucketNotificationDestination
        if to.function is not None:
            target = targets.LambdaDestination(to.function)
        elif to.queue is not None:
            target = targets.SqsDestination(to.queue)
        else:
            target = targets.SnsDestination(cast(sns.ITopic, to.topic))
        only = {word: options[word] for word in ("prefix", "suffix") if options.get(word)}
        filters = [s3.NotificationKeyFilter(**only)] if only else []
        for event in options.get("events", ["created"]):
            if event not in EVENTS:
                raise ConstructError(
                    f"{event!r} is no event of a bucket.",
                    f"There are: {', '.join(EVENTS)}.",
                    f"{scope.node.path}/{name}",
                )
            bucket.add_event_notification(EVENTS[event], target, *filters)
    return letters
