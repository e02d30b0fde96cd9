"""What is in a stack, as far as its removal has to know.

That is: buckets and image repositories to empty, log groups that nobody else deletes, and resources that are kept.
"""

import itertools
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from stagedoor.deploy.access import is_denied
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.stacks import error_code, is_missing, read_template

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ErrorTypeDef, ObjectIdentifierTypeDef

BUCKET = "AWS::S3::Bucket"
REPOSITORY = "AWS::ECR::Repository"
LOG_GROUP = "AWS::Logs::LogGroup"
_STACK = "AWS::CloudFormation::Stack"
LOG_RETENTION = "Custom::LogRetention"
_LOG_GROUPS = {
    "AWS::Lambda::Function": "/aws/lambda/{}",
    "AWS::CodeBuild::Project": "/aws/codebuild/{}",
    LOG_RETENTION: "{}",
}
"""Log groups that a resource leaves behind, by its physical id. A service makes the first two on the first line that it
writes (https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html); the third is what CDK's own
function makes, and keeps, for `log_retention`."""

_NO_LOG_GROUP = frozenset({"ResourceNotFound", "InvalidParameter"})
"""There is none of this name, or can be none
(https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteLogGroup.html)."""

_POLICIES = {
    "Retain": "its DeletionPolicy is Retain",
    "RetainExceptOnCreate": "its DeletionPolicy is RetainExceptOnCreate",
    "Snapshot": "its DeletionPolicy is Snapshot: a snapshot of it stays",
}
_OBJECTS = 1000
"""Objects that one call deletes (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html)."""

_IMAGES = 100
"""Images that one call deletes (https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html)."""

_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a stack, or of a stack nested in it."""

    logical_id: str
    type: str
    physical_id: str


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes with a stack and must be empty before, the log groups that it leaves, and what is kept, and why."""

    buckets: tuple[Resource, ...] = ()
    repositories: tuple[Resource, ...] = ()
    log_groups: tuple[str, ...] = ()
    retained: tuple[tuple[Resource, str], ...] = ()


def read_contents(clients: Clients, arn: str) -> Contents:
    """Return what the stack and those nested in it hold."""
    found = list(_resources(clients, arn))
    going = [resource for resource, why in found if not why or why == _POLICIES["Snapshot"]]
    return Contents(
        buckets=tuple(resource for resource in going if resource.type == BUCKET),
        repositories=tuple(resource for resource in going if resource.type == REPOSITORY),
        log_groups=tuple(log_groups_of(resource for resource, _ in found)),
        retained=tuple((resource, why) for resource, why in found if why),
    )


def empty_contents(clients: Clients, contents: Contents) -> list[tuple[Resource, str]]:
    """Delete every version of every object, every delete marker and every image of what goes with the stack.

    Returns what could not be emptied, with what is to be said of it.
    """
    left: list[tuple[Resource, str]] = []
    for bucket in contents.buckets:
        errors = _empty_bucket(clients.client("s3", Phase.DEPLOY), bucket.physical_id)
        if errors:
            why = errors[0].get("Message", errors[0].get("Code", "")).rstrip(".")
            left.append((bucket, f"The bucket {bucket.physical_id} keeps {len(errors)} objects or versions: {why}."))
    for repository in contents.repositories:
        _empty_repository(clients.client("ecr", Phase.DEPLOY), repository.physical_id)
    return left


def remove_log_groups(clients: Clients, names: Iterable[str]) -> list[tuple[Resource, str]]:
    """Delete log groups that a stack left; CloudFormation does not know of them.

    Returns those that are not this role's to delete, and what AWS says: of `log_retention` an app may name any.
    """
    left: list[tuple[Resource, str]] = []
    for name in names:
        try:
            clients.client("logs", Phase.DEPLOY).delete_log_group(logGroupName=name)
        except ClientError as error:
            if is_denied(error):
                left.append((Resource("", LOG_GROUP, name), error.response["Error"]["Message"]))
            elif error_code(error) not in _NO_LOG_GROUP:
                raise
    return left


def log_groups_of(resources: Iterable[Resource]) -> Iterator[str]:
    """Yield the names of the log groups that resources leave behind."""
    for resource in resources:
        if resource.type in _LOG_GROUPS:
            yield _LOG_GROUPS[resource.type].format(resource.physical_id)


def _resources(clients: Clients, arn: str) -> Iterator[tuple[Resource, str]]:
    """Yield each resource that exists and why it is kept; nothing where it goes with the stack."""
    template = read_template(clients, arn) or {}
    definitions = template.get("Resources", {})
    try:
        for page in clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=arn):
            for summary in page["StackResourceSummaries"]:
                resource = Resource(
                    summary["LogicalResourceId"], summary["ResourceType"], summary.get("PhysicalResourceId", "")
                )
                if not resource.physical_id or summary["ResourceStatus"] == "DELETE_COMPLETE":
                    continue
                policy = definitions.get(resource.logical_id, {}).get("DeletionPolicy", "")
                yield resource, _POLICIES.get(policy, "")
                if resource.type == _STACK and policy not in _POLICIES:
                    yield from _resources(clients, resource.physical_id)
    except ClientError as error:
        if not is_missing(error):
            raise


def _empty_bucket(s3: "S3Client", bucket: str) -> "list[ErrorTypeDef]":
    """Return what S3 refused to delete: objects under a lock, mostly."""

    def delete(objects: "list[ObjectIdentifierTypeDef]") -> "list[ErrorTypeDef]":
        return s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])

    try:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="empty") as deleters:
            deletions = []
            for page in s3.get_paginator("list_object_versions").paginate(
                Bucket=bucket, PaginationConfig={"PageSize": _OBJECTS}
            ):
                entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                objects: list[ObjectIdentifierTypeDef] = [
                    {"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries
                ]
                if objects:
                    deletions.append(deleters.submit(delete, objects))
            return list(itertools.chain.from_iterable(deletion.result() for deletion in deletions))
    except ClientError as error:
        if error_code(error) != "NoSuchBucket":
            raise
        return []


def _empty_repository(ecr: "ECRClient", repository: str) -> None:
    try:
        for page in ecr.get_paginator("list_images").paginate(
            repositoryName=repository, PaginationConfig={"PageSize": _IMAGES}
        ):
            if page["imageIds"]:
                ecr.batch_delete_image(repositoryName=repository, imageIds=page["imageIds"])
    except ClientError as error:
        if error_code(error) not in ("RepositoryNotFound", "RepositoryNotFoundException"):
            raise
