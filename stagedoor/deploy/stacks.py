"""What the account says about a stack, and whose it is.

Statuses: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from stagedoor.deploy.clients import Clients
from stagedoor.errors import UserError
from stagedoor.naming import BINDING_OUTPUT, StageIdentity

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

CHANGE_SET_PREFIX = "sd-"
"""What the names of our change sets begin with."""

GONE = "DELETE_COMPLETE"
REVIEW = "REVIEW_IN_PROGRESS"
GOOD = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})
UNUSABLE = frozenset({"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"})
"""A stack in one of these can only be deleted."""

_OWNER_TAGS = "stagedoor:"
_NO_STACK = re.compile(r"Stack\b.* does not exist")


class StackNotOurs(UserError):
    """A stack has the name that ours should have, and its tags say that it is another's."""

    id = "stack-not-ours"


@dataclass(frozen=True, slots=True)
class ActualStack:
    """A stack as the account has it. `outputs` maps output keys to values, `exported` some of them to export names;
    `changed` is when it was made or last updated.
    """

    name: str
    arn: str
    status: str
    reason: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    exported: Mapping[str, str] = field(default_factory=dict)
    termination_protection: bool = False
    changed: datetime | None = field(default=None, compare=False)

    @property
    def exports(self) -> tuple[str, ...]:
        """The names of what it exports."""
        return tuple(self.exported.values())

    @property
    def shown_outputs(self) -> dict[str, str]:
        """The outputs that are for people: not those by which `stagedoor.runtime` finds what code is bound to."""
        return {name: value for name, value in self.outputs.items() if not name.startswith(BINDING_OUTPUT)}

    @property
    def busy(self) -> bool:
        """Whether CloudFormation is working on it. A stack under review only waits for a change set."""
        return self.status.endswith("_IN_PROGRESS") and self.status != REVIEW


def read_stack(clients: Clients, name_or_arn: str) -> ActualStack | None:
    """Return the stack, or None when there is none. By ARN a deleted one is found too, for some ninety days."""
    try:
        answer = clients.cloudformation.describe_stacks(StackName=name_or_arn)
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return actual_stack(answer["Stacks"][0])


def read_all_stacks(clients: Clients) -> Iterator[ActualStack]:
    """Yield every stack of the account and region."""
    for page in clients.cloudformation.get_paginator("describe_stacks").paginate():
        for described in page["Stacks"]:
            yield actual_stack(described)


def actual_stack(described: "StackTypeDef") -> ActualStack:
    """Return what `DescribeStacks` says of one stack."""
    outputs = described.get("Outputs", [])
    return ActualStack(
        name=described["StackName"],
        arn=described.get("StackId", described["StackName"]),
        status=described["StackStatus"],
        reason=described.get("StackStatusReason", ""),
        tags={tag["Key"]: tag["Value"] for tag in described.get("Tags", [])},
        parameters={
            parameter["ParameterKey"]: parameter.get("ParameterValue", "")
            for parameter in described.get("Parameters", [])
            if "ParameterKey" in parameter
        },
        outputs={o["OutputKey"]: o.get("OutputValue", "") for o in outputs if "OutputKey" in o},
        exported={o["OutputKey"]: o["ExportName"] for o in outputs if "OutputKey" in o and o.get("ExportName")},
        termination_protection=described.get("EnableTerminationProtection", False),
        changed=described.get("LastUpdatedTime") or described.get("CreationTime"),
    )


def read_template(clients: Clients, arn: str) -> Mapping[str, Any] | None:
    """Return the template that the stack was last given; None where there is none, or one that is not JSON."""
    try:
        body = clients.cloudformation.get_template(StackName=arn, TemplateStage="Original").get("TemplateBody")
    except ClientError as error:
        if is_missing(error):
            return None
        raise
    return body if isinstance(body, Mapping) else None


def is_ours(actual: ActualStack, identity: StageIdentity) -> bool:
    """Whether the stack's tags are exactly those of this stage."""
    return all(actual.tags.get(key) == value for key, value in identity.tags().items())


def is_unclaimed_review(actual: ActualStack) -> bool:
    """Whether this is the empty shell of a stack whose first change set was never executed.

    Such a shell has no resources. Its tags may not be told until its first change set is executed, so it counts as
    another's only when it bears another's.
    """
    return actual.status == REVIEW and not has_owner(actual)


def has_owner(actual: ActualStack) -> bool:
    """Whether the stack's tags say that it belongs to a stage, whoever's."""
    return any(key.startswith(_OWNER_TAGS) for key in actual.tags)


def check_ours(actual: ActualStack, identity: StageIdentity) -> None:
    """Raise `StackNotOurs` unless the stack is this stage's own, or one without an owner that is being adopted."""
    if is_ours(actual, identity) or is_unclaimed_review(actual):
        return
    if actual.arn in identity.adopting and not has_owner(actual):
        return
    theirs = {key: value for key, value in actual.tags.items() if key.startswith(_OWNER_TAGS)}
    whose = (
        "it belongs to " + ", ".join(f"{key.removeprefix(_OWNER_TAGS)} {value!r}" for key, value in theirs.items())
        if theirs
        else "it was not made by Stagedoor"
    )
    raise StackNotOurs(
        f"The stack {actual.name!r} already exists and {whose}.",
        "If it is this app's own, take it over with `stagedoor deploy --adopt`; else give the app's stack another name."
        if identity.adopted and not theirs
        else "Deploy through the service that owns it, delete it, or choose another stage.",
    )


def waiting_change_sets(clients: Clients, name: str) -> list[str]:
    """Return the names of those of our change sets that were made for the stack and not executed.

    The stack goes by its name: while it is only in review, not every CloudFormation knows its change sets by its ARN.
    """
    pages = clients.cloudformation.get_paginator("list_change_sets").paginate(StackName=name)
    return [
        summary.get("ChangeSetName", "")
        for page in pages
        for summary in page["Summaries"]
        if summary.get("ChangeSetName", "").startswith(CHANGE_SET_PREFIX)
        and not summary.get("ExecutionStatus", "").startswith("EXECUTE_")
    ]


def is_missing(error: ClientError) -> bool:
    """Whether CloudFormation says that there is no such stack: a `ValidationError` known by its text alone."""
    details = error.response["Error"]
    # What else does not exist (a parameter of the parameter store) is no stack's absence.
    return details["Code"] == "ValidationError" and bool(_NO_STACK.match(details["Message"]))


def error_code(error: ClientError) -> str:
    """Return the error's code as CloudFormation gives it, without the suffix that some answers carry."""
    return error.response["Error"]["Code"].removesuffix("Exception")
