"""What a stack's updates left behind, and how it is taken away.

What an update replaces or removes is deleted when the rest is done. What cannot be deleted then (a bucket that holds
objects, mostly) is reported as DELETE_FAILED, the update ends well all the same, and CloudFormation forgets it
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html). Of the log groups of functions
it never knew.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from stagedoor.assembly.template import NESTED_STACK
from stagedoor.deploy.access import judges_request
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.contents import (
    BUCKET,
    LOG_RETENTION,
    REPOSITORY,
    Contents,
    Resource,
    empty_contents,
    log_groups_of,
)
from stagedoor.deploy.ledger import Ledger
from stagedoor.deploy.stacks import error_code, is_missing
from stagedoor.deploy.together import Work, ask
from stagedoor.events import Emit, Event, EventKind

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Resources that CloudFormation gave up, and why, and the log groups of functions that are gone."""

    resources: tuple[tuple[Resource, str], ...] = ()
    log_groups: tuple[str, ...] = ()


def left_behind(events: "Iterable[StackEventTypeDef]", *, all_gone: bool = False) -> LeftBehind:
    """Return what is left by the last that each resource was told to have come to; the events are the oldest first.

    `all_gone`: the stack is no more, so that neither are its functions, whatever was told of them. While it lives, a
    log group that was made for `log_retention` stays: the function that writes there may live on.
    """
    last = {event["PhysicalResourceId"]: event for event in events if event.get("PhysicalResourceId")}
    found = [
        (Resource(one.get("LogicalResourceId", ""), one.get("ResourceType", ""), one["PhysicalResourceId"]), one)
        for one in last.values()
    ]
    gone = [
        resource
        for resource, event in found
        if all_gone or (event.get("ResourceStatus") == "DELETE_COMPLETE" and resource.type != LOG_RETENTION)
    ]
    failed = [
        (resource, event.get("ResourceStatusReason", ""))
        for resource, event in found
        if event.get("ResourceStatus") == "DELETE_FAILED"
    ]
    return LeftBehind(tuple(failed), tuple(dict.fromkeys(log_groups_of(gone))))


def read_left_behind(clients: Clients, arn: str) -> LeftBehind:
    """Return what a deleted stack, and those nested in it, left in their lives. The events outlive it by ninety days
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackEvents.html).
    """
    events: list[StackEventTypeDef] = []
    try:
        for page in clients.cloudformation.get_paginator("describe_stack_events").paginate(StackName=arn):
            events += page["StackEvents"]
    except ClientError as error:
        if not is_missing(error):
            raise
    nested = {event.get("PhysicalResourceId", "") for event in events if event.get("ResourceType") == NESTED_STACK}
    inner = [read_left_behind(clients, one) for one in sorted(nested - {arn}) if one.startswith("arn:")]
    own = left_behind((event for event in reversed(events) if event.get("PhysicalResourceId") != arn), all_gone=True)
    return LeftBehind(
        (*own.resources, *(resource for one in inner for resource in one.resources)),
        (*own.log_groups, *(group for one in inner for group in one.log_groups)),
    )


def take_away(
    left: Iterable[tuple[Resource, str]], stack: str, clients: Clients, ledger: Ledger, emit: Emit
) -> Work[list[tuple[Resource, str]]]:
    """Empty and delete the buckets and image repositories that a disposable stage's stack left, each written down
    before. What another stack has by now is not touched. Returns what stays, and why; other types do.
    """
    staying: list[tuple[Resource, str]] = []
    for resource, why in left:
        if resource.type not in (BUCKET, REPOSITORY):
            staying.append((resource, why))
        elif not (yield from ask(partial(_has_owner, clients, resource))):
            about = {"type": resource.type, "physical_id": resource.physical_id}
            step = ledger.begin("delete-left-behind", stack, {**about, "logical_id": resource.logical_id})
            trouble = yield from ask(partial(_delete, clients, resource))
            ledger.finish(step, "failed" if trouble else "done", {"reason": trouble} if trouble else {})
            if trouble:
                staying.append((resource, trouble))
            else:
                emit(Event(EventKind.RESOURCE, f"{stack}/{resource.logical_id}", "DELETE_COMPLETE", data=about))
    return staying


def _has_owner(clients: Clients, resource: Resource) -> bool:
    """Whether some stack of the account has the resource, or nobody may say. One that could not delete it has not."""
    try:
        found = clients.cloudformation.describe_stack_resources(PhysicalResourceId=resource.physical_id)
    except ClientError as error:
        return not judges_request(error)  # what no stack has is a ValidationError
    return any(not one["ResourceStatus"].startswith("DELETE_") for one in found["StackResources"])


def _delete(clients: Clients, resource: Resource) -> str:
    """Empty and delete a bucket or repository. Returns why that cannot be; nothing when it is gone."""
    is_bucket = resource.type == BUCKET
    held = Contents(buckets=(resource,)) if is_bucket else Contents(repositories=(resource,))
    try:
        for _, what in empty_contents(clients, held):
            return what
        if is_bucket:
            clients.client("s3", Phase.DEPLOY).delete_bucket(Bucket=resource.physical_id)
        else:
            clients.client("ecr", Phase.DEPLOY).delete_repository(repositoryName=resource.physical_id)
    except ClientError as error:
        gone = error_code(error) in ("NoSuchBucket", "RepositoryNotFound")
        return "" if gone else error.response["Error"]["Message"]
    return ""
