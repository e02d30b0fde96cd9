"""Why a deploy failed: the first resource that did, in CloudFormation's words, at its place in the app."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from stagedoor.assembly.model import Stack
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.stacks import ActualStack
from stagedoor.errors import UserError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import (
        DescribeEventsOutputTypeDef,
        OperationEventTypeDef,
        StackEventTypeDef,
    )

    from stagedoor.deploy.watch import Watch

_NESTED = "AWS::CloudFormation::Stack"
_DEEPEST = 5
_CANCELLED = "cancelled"
"""In the reason of a resource that was stopped since another failed."""

_ROLLBACK = "Rollback requested by user."
"""What CloudFormation adds to a reason; nobody did."""

_REMEDY = "Correct the app as the reason says, and deploy again."
_REMEDIES = {
    "stack policy": "Change the stack's policy in CloudFormation, or take the change out of the app.",
    "TerminationProtection": "Turn the stack's termination protection off in CloudFormation if it is to be made anew.",
    "LimitExceeded": "Remove stages that nobody needs, or ask AWS for a higher quota (Service Quotas).",
    "imit exceeded": "Remove what nobody needs, or ask AWS for a higher quota (Service Quotas).",
    "is already exported by stack": "Name the export otherwise: exports have one name in an account and region.",
    "cannot be updated as it is in use": "Export it under another name, and remove the old one when nobody imports it.",
    "not authorized to perform": "Allow it to the target's execution role, or take it out of the app.",
    "NoSuchKey": "Deploy again: what is published is looked at anew.",
}
"""What to do, by words of a reason or by the code of an error; the first that fits."""


def remedy_for(reason: str, code: str = "", otherwise: str = _REMEDY) -> str:
    """Return what to do about a reason that CloudFormation gives, with the error's code where it came as one."""
    return next((remedy for words, remedy in _REMEDIES.items() if words in reason or words == code), otherwise)


class DeployFailed(UserError):
    """CloudFormation could not make a stack what the app wants."""

    id = "deploy-failed"


def failure_of(clients: Clients, stack: Stack, after: ActualStack, watch: "Watch") -> DeployFailed:
    """Return the error for a stack that ended in `after`, as it was watched: the others of its failures only follow
    from the first.
    """
    failures = watch.failures
    if not failures:
        return _invalid(clients, stack, after, watch.reason)
    told = next((one for one in failures if _CANCELLED not in one.get("ResourceStatusReason", "")), failures[0])
    first = _root(clients, told)
    logical_id = told.get("LogicalResourceId", "")
    where = stack.construct_paths.get(logical_id, logical_id)
    if first is not told:
        where = f"{where}, {first.get('LogicalResourceId', '')} in its nested stack"
    reason = first.get("ResourceStatusReason", "no reason was given").rstrip(".")
    return DeployFailed(
        f"{where} ({first.get('ResourceType', '')}) in the stack {stack.name} failed: {reason}.",
        remedy_for(reason),
        detail="\n".join(_line(stack, event) for event in failures),
        location=stack.places.get(logical_id),
    )


def change_set_refused(clients: Clients, stack: Stack, change_set: str, reason: str) -> DeployFailed:
    """Return the error for a change set, named by its ARN, that CloudFormation could not make."""
    found = _validation_errors(clients, lambda client: client.describe_events(ChangeSetName=change_set))
    if found:
        return _invalid_resource(stack, found)
    return DeployFailed(
        f"CloudFormation refused the change of the stack {stack.name}: {reason.rstrip('.')}.", remedy_for(reason)
    )


def _invalid(clients: Clients, stack: Stack, after: ActualStack, reason: str) -> DeployFailed:
    """Return the error for a stack that failed before any resource was begun. What CloudFormation validates first is
    told by one call alone (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeEvents.html).
    """
    found = _validation_errors(clients, lambda client: client.describe_events(StackName=after.arn))
    if found:
        return _invalid_resource(stack, found)
    if reason := reason.removesuffix(_ROLLBACK).rstrip(". "):
        return DeployFailed(f"The stack {stack.name} failed: {reason}.", remedy_for(reason))
    why = f": {after.reason.rstrip('.')}" if after.reason else ""
    return DeployFailed(
        f"The stack {stack.name} ended as {after.status}{why}.",
        "Look at its events in CloudFormation, and deploy again.",
    )


def _invalid_resource(stack: Stack, errors: Sequence["OperationEventTypeDef"]) -> DeployFailed:
    first = errors[0]
    logical_id = first.get("LogicalResourceId", "")
    where = stack.construct_paths.get(logical_id, logical_id)
    reason = first.get("ValidationStatusReason", "no reason was given").rstrip(".")
    return DeployFailed(
        f"{where} ({first.get('ResourceType', '')}) in the stack {stack.name} failed: {reason}.",
        remedy_for(reason),
        detail="\n".join(
            f"{error.get('ValidationPath', '')}: {error.get('ValidationStatusReason', '')}" for error in errors
        ),
        location=stack.places.get(logical_id),
    )


def _validation_errors(
    clients: Clients, ask: Callable[["CloudFormationClient"], "DescribeEventsOutputTypeDef"]
) -> list["OperationEventTypeDef"]:
    """Return the validation errors of the newest operation that has any, as they come: newest first."""
    try:
        events = ask(clients.cloudformation)["OperationEvents"]
    except ClientError:  # the call is young: an emulator may not have it, a role may not be allowed it
        return []
    errors = [
        event
        for event in events
        if event.get("EventType") == "VALIDATION_ERROR" and event.get("ValidationFailureMode") != "WARN"
    ]
    return [error for error in errors if error.get("OperationId") == errors[0].get("OperationId")]


def _root(clients: Clients, event: "StackEventTypeDef") -> "StackEventTypeDef":
    """Follow a failure into the nested stack that it stands for, to the resource that failed first there."""
    for _ in range(_DEEPEST):
        nested = event.get("PhysicalResourceId", "")
        if event.get("ResourceType") != _NESTED or not nested.startswith("arn:") or nested == event["StackId"]:
            break
        pages = clients.cloudformation.get_paginator("describe_stack_events").paginate(StackName=nested)
        inner = [
            one
            for one in reversed([one for page in pages for one in page["StackEvents"]])
            if one.get("ResourceStatus", "").endswith("_FAILED")
            and one.get("PhysicalResourceId") != nested
            and _CANCELLED not in one.get("ResourceStatusReason", "")
        ]
        if not inner:
            break
        event = inner[0]
    return event


def _line(stack: Stack, event: "StackEventTypeDef") -> str:
    logical_id = event.get("LogicalResourceId", "")
    where = stack.construct_paths.get(logical_id, logical_id)
    return f"{where} {event.get('ResourceStatus', '')}: {event.get('ResourceStatusReason', '')}"
