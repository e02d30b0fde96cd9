"""Why a deploy failed: the first resource that did, in CloudFormation's words, at its place in the app."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stagedoor.assembly.model import Stack
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.stacks import ActualStack
from stagedoor.errors import UserError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef

_NESTED = "AWS::CloudFormation::Stack"
_DEEPEST = 5


class DeployFailed(UserError):
    """CloudFormation could not make a stack what the app wants."""

    id = "deploy-failed"


def failure_of(
    clients: Clients, stack: Stack, after: ActualStack, failures: Sequence["StackEventTypeDef"]
) -> DeployFailed:
    """Return the error for a stack that ended in `after`: the others of its failures only follow from the first."""
    if not failures:
        why = f": {after.reason}" if after.reason else ""
        return DeployFailed(
            f"The stack {stack.name} ended as {after.status}{why}.",
            "Look at its events in CloudFormation, and deploy again.",
        )
    first = _root(clients, failures[0])
    logical_id = failures[0].get("LogicalResourceId", "")
    where = stack.construct_paths.get(logical_id, logical_id)
    if first is not failures[0]:
        where = f"{where}, {first.get('LogicalResourceId', '')} in its nested stack"
    reason = first.get("ResourceStatusReason", "no reason was given").rstrip(".")
    return DeployFailed(
        f"{where} ({first.get('ResourceType', '')}) in the stack {stack.name} failed: {reason}.",
        "Correct the app as the reason says, and deploy again.",
        detail="\n".join(_line(stack, event) for event in failures),
    )


def _root(clients: Clients, event: "StackEventTypeDef") -> "StackEventTypeDef":
    """Follow a failure into the nested stack that it stands for, to the resource that failed first there."""
    for _ in range(_DEEPEST):
        nested = event.get("PhysicalResourceId", "")
        if event.get("ResourceType") != _NESTED or not nested.startswith("arn:") or nested == event["StackId"]:
            break
        events = clients.cloudformation.describe_stack_events(StackName=nested)["StackEvents"]
        inner = [
            one
            for one in reversed(events)
            if one.get("ResourceStatus", "").endswith("_FAILED") and one.get("PhysicalResourceId") != nested
        ]
        if not inner:
            break
        event = inner[0]
    return event


def _line(stack: Stack, event: "StackEventTypeDef") -> str:
    logical_id = event.get("LogicalResourceId", "")
    where = stack.construct_paths.get(logical_id, logical_id)
    return f"{where} {event.get('ResourceStatus', '')}: {event.get('ResourceStatusReason', '')}"
