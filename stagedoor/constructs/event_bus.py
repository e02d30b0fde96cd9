"""An event bus of EventBridge, and its rules."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from aws_cdk import Aws, Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stagedoor.constructs.binding import Binding, tell
from stagedoor.constructs.dead_letters import dead_letters as queue_for
from stagedoor.constructs.dead_letters import keep_failures
from stagedoor.constructs.destination import opened
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.grants.event_bus import event_bus_binding
from stagedoor.constructs.new_destination import destination
from stagedoor.constructs.words import check_nodes, keyed

_TARGETS = 5
"""What a rule may have (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html)."""


@dataclass(frozen=True, slots=True)
class EventBusNodes:
    """The resources of an event bus; `rules` by their names."""

    bus: events.EventBus
    dead_letters: sqs.IQueue | None
    rules: Mapping[str, events.Rule]


class EventBus(Construct):
    """An event bus.

        EventBus(
            stack,
            "Orders",
            rules={"Paid": {"pattern": {"detail-type": ["order.paid"]}, "to": ["functions/invoice.write", audit]}},
        )

    A rule hands the events that match its `pattern`, EventBridge's own, to functions and queues: `to` is one of them or
    up to five. `retries` (185) and `max_age` in seconds (a day) are how long that is tried. What cannot be delivered,
    and what a function fails on three times, goes to a queue, `dead_letters`: True for one of its own, False, or a
    Queue.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        rules: Mapping[str, Mapping[str, Any]] | None = None,
        dead_letters: object = True,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_nodes(cdk, "bus", "dead_letters", where=self.node.path)
        # CloudFormation makes no name for a bus, and the one that aws-cdk-lib makes is the same in each stage.
        name = f"{Aws.STACK_NAME}-{construct_id}-{self.node.addr[-6:]}"
        bus = events.EventBus(self, "Bus", **{"event_bus_name": name, **keyed(cdk, "bus")})
        letters = queue_for(self, dead_letters, cdk) if rules else None
        made = {name: self._rule(name, bus, said, letters) for name, said in (rules or {}).items()}
        self._nodes = EventBusNodes(bus, letters, made)
        tell(self.binding)

    @property
    def nodes(self) -> EventBusNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it: to put events."""
        return replace(event_bus_binding(self._nodes.bus, self.node.id), owner=self)

    def put(self) -> Binding:
        """Bind for putting events."""
        return self.binding.with_access("put")

    def _rule(
        self, name: str, bus: events.EventBus, said: Mapping[str, Any], letters: sqs.IQueue | None
    ) -> events.Rule:
        where = f"{self.node.path}/{name}"
        to, options = opened(said, "pattern", "retries", "max_age", where=where)
        wanted = to if isinstance(to, list | tuple) else [to]
        if not options.get("pattern") or not 1 <= len(wanted) <= _TARGETS:
            raise ConstructError(
                "A rule has a pattern and one to five targets.", 'Write {"pattern": {…}, "to": […]}.', where
            )
        rule = events.Rule(self, f"{name}Rule", event_bus=bus, event_pattern=events.EventPattern(version=["0"]))
        inner = cast(events.CfnRule, rule.node.default_child)
        # As EventBridge has it: the typed pattern of aws-cdk-lib has no `$or`, nor what is added to the language later.
        inner.event_pattern = options["pattern"]
        delivery: dict[str, Any] = {
            "dead_letter_queue": letters,
            "retry_attempts": options.get("retries"),
            "max_event_age": Duration.seconds(options["max_age"]) if "max_age" in options else None,
        }
        for number, each in enumerate(wanted):
            found = destination(self, f"{self.node.id}{name}{number + 1 if number else ''}", each)
            if found.queue is not None:
                rule.add_target(targets.SqsQueue(found.queue, **delivery))
            else:
                function = cast(lambda_.IFunction, found.function)
                rule.add_target(targets.LambdaFunction(function, **delivery))
                keep_failures(function, letters)
        return rule
