"""The queues before a function: while it may run for 15 minutes, its messages must stay out of sight as long.

Lambda refuses an event source whose queue shows a message again sooner than the function must be done
(https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stagedoor.assembly.bridging.model import LONGEST_TIMEOUT
from stagedoor.assembly.bridging.places import Place, Places, Where
from stagedoor.assembly.expressions import Unresolved, evaluate
from stagedoor.assembly.template import properties_of

QUEUE = "AWS::SQS::Queue"
VISIBILITY = "VisibilityTimeout"
_DEFAULT_VISIBILITY = 30
HELD = (
    "Its timeout stays as it is, and a breakpoint is held no longer: a queue that is not the app's, or whose "
    "visibility timeout cannot be told, brings it events."
)


@dataclass(frozen=True, slots=True)
class Queues:
    """`before` are queues by the function that takes their messages; `held` are functions of which one is unknown."""

    before: dict[Place, tuple[Place, ...]]
    held: frozenset[Place]

    def raised(self, functions: frozenset[Place]) -> frozenset[Place]:
        """Return the queues whose visibility timeout must be raised with these functions' timeouts."""
        return frozenset(queue for function in functions - self.held for queue in self.before.get(function, ()))


def queues_of(places: Places) -> Queues:
    """Return the queues before each function of a stage."""
    before: dict[Place, tuple[Place, ...]] = {}
    held: set[Place] = set()
    for function, source, where in _sources(places):
        queue = places.follow(source, where)
        if queue is not None and places.resource(queue).get("Type") == QUEUE:
            before[function] = (*before.get(function, ()), queue)
            if visibility(places, queue) is None:
                held.add(function)
        elif queue is None and _may_be_queue(evaluate(source, places.scope(where))):
            held.add(function)
    return Queues(before, frozenset(held))


def visibility(places: Places, queue: Place) -> int | None:
    """Return a queue's visibility timeout in seconds; None where it cannot be told."""
    value = properties_of(places.resource(queue)).get(VISIBILITY, _DEFAULT_VISIBILITY)
    text = evaluate(value, places.scope(queue.where))
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() else None


def with_visibility(resource: dict[str, Any], seconds: int | None) -> dict[str, Any]:
    """Return a queue with its visibility timeout, `seconds`, raised to the longest that a function may run."""
    return {
        **resource,
        "Properties": {**properties_of(resource), VISIBILITY: max(seconds or 0, LONGEST_TIMEOUT)},
    }


def _sources(places: Places) -> Iterator[tuple[Place, Any, Where]]:
    """Yield functions and the sources of their events, as far as Lambda or a pipe fetches these."""
    for at, resource in places.of_type("AWS::Lambda::EventSourceMapping", "AWS::Pipes::Pipe"):
        properties = properties_of(resource)
        is_pipe = resource["Type"] == "AWS::Pipes::Pipe"
        # A stream says where its reading starts, or has a configuration of its own kind; a queue never does.
        if "StartingPosition" in properties or "SelfManagedEventSource" in properties:
            continue
        function = places.function_behind(properties.get("Target" if is_pipe else "FunctionName"), at.where)
        if function is not None:
            yield function, properties.get("Source" if is_pipe else "EventSourceArn"), at.where


def _may_be_queue(source: str | Unresolved) -> bool:
    return ":sqs:" in source if isinstance(source, str) else source is not Unresolved.ABSENT
