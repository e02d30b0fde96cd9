"""What is in a stack, as far as its removal has to know.

That is: buckets to empty, functions that leave log groups behind, and resources that are kept.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.stacks import error_code, is_missing, read_template

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_BUCKET = "AWS::S3::Bucket"
_FUNCTION = "AWS::Lambda::Function"
_STACK = "AWS::CloudFormation::Stack"
_KEEPING = frozenset({"Retain", "RetainExceptOnCreate"})
_AT_ONCE = 1000
"""Objects that one call deletes (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html)."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a stack, or of a stack nested in it."""

    logical_id: str
    physical_id: str
    type: str


@dataclass(frozen=True, slots=True)
class Contents:
    """A stack's buckets that go with it, its functions, and what is kept when it goes."""

    buckets: tuple[Resource, ...] = ()
    functions: tuple[Resource, ...] = ()
    retained: tuple[Resource, ...] = field(default=())


def read_contents(clients: Clients, arn: str) -> Contents:
    """Return what the stack and those nested in it hold."""
    buckets: list[Resource] = []
    functions: list[Resource] = []
    retained: list[Resource] = []
    for resource, kept in _resources(clients, arn):
        if kept:
            retained.append(resource)
        elif resource.type == _BUCKET:
            buckets.append(resource)
        if resource.type == _FUNCTION:
            functions.append(resource)
    return Contents(tuple(buckets), tuple(functions), tuple(retained))


def empty_buckets(clients: Clients, contents: Contents) -> None:
    """Delete every version of every object, and every delete marker, of the buckets that go with the stack."""
    for bucket in contents.buckets:
        _empty(clients.client("s3", Phase.DEPLOY), bucket.physical_id)


def remove_log_groups(clients: Clients, contents: Contents) -> None:
    """Delete the log groups that Lambda made for the stack's functions; CloudFormation does not know of them
    (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html).
    """
    logs = clients.client("logs", Phase.DEPLOY)
    for function in contents.functions:
        try:
            logs.delete_log_group(logGroupName=f"/aws/lambda/{function.physical_id}")
        except ClientError as error:
            if error_code(error) != "ResourceNotFound":
                raise


def read_contents_of_deleted(clients: Clients, arn: str) -> Contents:
    """Return the functions that a deleted stack, and those nested in it, had: its events outlive it by ninety days
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStackEvents.html).
    """
    functions: dict[str, Resource] = {}
    nested: set[str] = set()
    try:
        for page in clients.cloudformation.get_paginator("describe_stack_events").paginate(StackName=arn):
            for event in page["StackEvents"]:
                physical_id, kind = event.get("PhysicalResourceId", ""), event.get("ResourceType", "")
                if kind == _FUNCTION and physical_id:
                    functions[physical_id] = Resource(event.get("LogicalResourceId", ""), physical_id, kind)
                elif kind == _STACK and physical_id.startswith("arn:") and physical_id != arn:
                    nested.add(physical_id)
    except ClientError as error:
        if not is_missing(error):
            raise
    inner = [read_contents_of_deleted(clients, one).functions for one in sorted(nested)]
    return Contents(functions=(*functions.values(), *itertools.chain.from_iterable(inner)))


def _resources(clients: Clients, arn: str) -> Iterator[tuple[Resource, bool]]:
    """Yield each resource that exists and whether its template keeps it."""
    template = read_template(clients, arn) or {}
    definitions = template.get("Resources", {})
    try:
        for page in clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=arn):
            for summary in page["StackResourceSummaries"]:
                resource = Resource(
                    summary["LogicalResourceId"], summary.get("PhysicalResourceId", ""), summary["ResourceType"]
                )
                if not resource.physical_id:
                    continue
                policy = definitions.get(resource.logical_id, {}).get("DeletionPolicy")
                yield resource, policy in _KEEPING
                if resource.type == _STACK and policy not in _KEEPING:
                    yield from _resources(clients, resource.physical_id)
    except ClientError as error:
        if not is_missing(error):
            raise


def _empty(s3: "S3Client", bucket: str) -> None:
    try:
        for page in s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": _AT_ONCE}
        ):
            entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            objects: list[ObjectIdentifierTypeDef] = [
                {"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries
            ]
            if objects:
                s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    except ClientError as error:
        if error_code(error) != "NoSuchBucket":
            raise
