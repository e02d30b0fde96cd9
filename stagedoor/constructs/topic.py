"""An SNS topic, and who subscribes to it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from aws_cdk import Names, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_sns_subscriptions import SqsSubscription
from constructs import Construct

from stagedoor.constructs.binding import Binding, tell
from stagedoor.constructs.dead_letters import dead_letters as queue_for
from stagedoor.constructs.dead_letters import keep_failures
from stagedoor.constructs.destination import opened
from stagedoor.constructs.grants.topic import topic_binding
from stagedoor.constructs.new_destination import destination
from stagedoor.constructs.words import check_nodes, keyed


@dataclass(frozen=True, slots=True)
class TopicNodes:
    """The resources of a topic; `subscriptions` by their names."""

    topic: sns.Topic
    dead_letters: sqs.IQueue | None
    subscriptions: Mapping[str, sns.Subscription]


class Topic(Construct):
    """An SNS topic.

        Topic(
            stack,
            "Sales",
            subscribers={
                "Mail": "functions/mail.send",
                "Audit": {"to": audit, "filter": {"kind": ["refund"]}, "raw": True},
            },
        )

    `subscribers` get its messages, by name: a function, a queue, or `{"to": …}` with any of `filter`, SNS's own filter
    policy on a message's attributes, `filter_body`, the same on its body, and `raw`: a queue gets the message as it was
    published. What cannot be delivered, and what a function fails on three times, goes to a queue, `dead_letters`: True
    for one of its own, False, or a Queue.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        subscribers: Mapping[str, object] | None = None,
        dead_letters: object = True,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_nodes(cdk, "topic", "dead_letters", where=self.node.path)
        topic = sns.Topic(self, "Topic", **{"enforce_ssl": True, **keyed(cdk, "topic")})
        topic.add_to_resource_policy(_from_own_account(topic))
        letters = queue_for(self, dead_letters, cdk) if subscribers else None
        subscriptions = {
            name: self._subscribe(name, topic, said, letters) for name, said in (subscribers or {}).items()
        }
        self._nodes = TopicNodes(topic, letters, subscriptions)
        tell(self.binding)

    @property
    def nodes(self) -> TopicNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it: to publish."""
        return replace(topic_binding(self._nodes.topic, self.node.id), owner=self)

    def publish(self) -> Binding:
        """Bind for publishing."""
        return self.binding.with_access("publish")

    def _subscribe(self, name: str, topic: sns.Topic, said: object, letters: sqs.IQueue | None) -> sns.Subscription:
        to, options = opened(said, "filter", "filter_body", "raw", where=f"{self.node.path}/{name}")
        found = destination(self, f"{self.node.id}{name}", to)
        if found.queue is not None:
            raw = bool(options.get("raw", False))
            subscription = topic.add_subscription(
                SqsSubscription(found.queue, dead_letter_queue=letters, raw_message_delivery=raw)
            )
        else:
            function = cast(lambda_.IFunction, found.function)
            subscription = _call(topic, function, letters)
            keep_failures(function, letters)
        inner = cast(sns.CfnSubscription, subscription.node.default_child)
        if "filter" in options or "filter_body" in options:
            inner.filter_policy = options.get("filter") or options.get("filter_body")
            inner.filter_policy_scope = "MessageAttributes" if "filter" in options else "MessageBody"
        return subscription


def _from_own_account(topic: sns.Topic) -> iam.PolicyStatement:
    """Let services publish on behalf of the account: CloudWatch's alarms, say. So does the policy that AWS gives a
    topic which has none of its own, by the same condition
    (https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html#source-account-versus-source-owner);
    with one for TLS alone they could not any more
    (https://repost.aws/knowledge-center/cloudwatch-receive-sns-for-alarm-trigger).
    """
    return iam.PolicyStatement(
        sid="FromOwnAccount",
        principals=[iam.AnyPrincipal()],
        actions=["sns:Publish"],
        resources=[topic.topic_arn],
        conditions={"StringEquals": {"AWS:SourceOwner": Stack.of(topic).account}},
    )


def _call(topic: sns.Topic, function: lambda_.IFunction, letters: sqs.IQueue | None) -> sns.Subscription:
    """Subscribe a function, in its own stack, so that one of another stack may be bound to the topic as well."""
    unique = Names.node_unique_id(topic.node)
    function.add_permission(
        f"From{unique}", principal=iam.ServicePrincipal("sns.amazonaws.com"), source_arn=topic.topic_arn
    )
    scope = function if isinstance(function, Construct) else topic
    return sns.Subscription(
        scope,
        f"To{unique}",
        topic=topic,
        endpoint=function.function_arn,
        protocol=sns.SubscriptionProtocol.LAMBDA,
        dead_letter_queue=letters,
    )
