"""Where events go that a construct hands on: functions, queues and topics, ours or aws-cdk-lib's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from constructs import Construct

from stagedoor.constructs.cdk_types import is_a
from stagedoor.constructs.errors import ConstructError

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from aws_cdk import aws_sns as sns
    from aws_cdk import aws_sqs as sqs


@dataclass(frozen=True, slots=True)
class Destination:
    """One of the three; the others are None."""

    function: "lambda_.IFunction | None" = None
    queue: "sqs.IQueue | None" = None
    topic: "sns.ITopic | None" = None


def existing_destination(scope: Construct, construct_id: str, value: object, kinds: str) -> Destination | None:
    """Return where a user wants events to go, if that is there already; None if `value` says how to make a function.
    `kinds` are those that serve. Raises `ConstructError`.
    """
    nodes = getattr(value, "nodes", None)
    for kind, (module, interface) in _INTERFACES.items():
        inner: Any = getattr(nodes, kind, value)
        if is_a(inner, module, interface):
            if kind not in kinds.split():
                raise ConstructError(
                    f"Events cannot go to a {kind} from here.",
                    f"What serves: {kinds.replace(' ', ', ')}.",
                    f"{scope.node.path}/{construct_id}",
                )
            return Destination(**{kind: inner})
    # A `Function` of ours says what of it is to be called: the function, or the alias that is kept warm.
    inner = getattr(value, "invoked", value)
    return Destination(function=inner) if is_a(inner, "aws_lambda", "IFunction") else None


def opened(value: object, *options: str, where: str) -> tuple[object, dict[str, Any]]:
    """Return what is to be reached, and the options that are said of the way there: `{"to": …, "filter": …}`, or just
    what is to be reached. Raises `ConstructError` for an option that there is not.
    """
    if not isinstance(value, Mapping) or "handler" in value:
        return value, {}
    rest = {name: said for name, said in value.items() if name != "to"}
    unknown = [name for name in rest if name not in options]
    if unknown or "to" not in value:
        raise ConstructError(
            f"There is no {', '.join(map(repr, unknown)) or 'destination'} here.",
            f'Write {{"to": …}} with any of {", ".join(options)}.',
            where,
        )
    return value["to"], rest


_INTERFACES = {"queue": ("aws_sqs", "IQueue"), "topic": ("aws_sns", "ITopic")}
