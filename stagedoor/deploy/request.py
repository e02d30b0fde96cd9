"""What CloudFormation is told of one stack that is created or changed, by whichever call."""

import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from stagedoor.assembly.model import Template
from stagedoor.deploy.access import judges_request
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.failure import DeployFailed, remedy_for
from stagedoor.deploy.ledger import Ledger, Step
from stagedoor.deploy.stacks import CHANGE_SET_PREFIX, ActualStack, error_code, is_missing
from stagedoor.deploy.wanted import Wanted, parameters_for

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.literals import CapabilityType

_NAME_LIMIT = 128
_IAM_NAMES = frozenset({"GroupName", "InstanceProfileName", "ManagedPolicyName", "RoleName", "UserName"})
_EMPTY = ("didn't contain changes", "No updates are to be performed")


class Nothing(Enum):
    """What a request comes to when it begins nothing: the stack is as it should be, or it must be looked at again."""

    TO_DO = "to do"
    YET = "yet"


@dataclass(frozen=True, slots=True)
class Begun:
    """An operation that CloudFormation accepted, on the stack with this ARN."""

    arn: str
    step: Step


@dataclass(frozen=True, slots=True)
class Request:
    """One stack as it should be, and the way to ask for it. `template_url` is where a long template was published;
    `body` is the template's text where it is not that of the assembly.
    """

    wanted: Wanted
    clients: Clients
    ledger: Ledger
    template_url: str | None = None
    body: str | None = None

    def arguments(self, actual: ActualStack | None) -> dict[str, Any]:
        """Return what each call that creates or changes the stack is given."""
        return {
            "StackName": self.wanted.name,
            "Capabilities": capabilities(self.wanted.template),
            "Parameters": parameters_for(self.wanted, actual),
            "Tags": [{"Key": key, "Value": value} for key, value in self.wanted.tags.items()],
            "NotificationARNs": list(self.wanted.stack.notification_arns),
            **self._template(),
            **self.role(),
        }

    def role(self) -> dict[str, Any]:
        """Return the role with which CloudFormation does its work, where the target has one for that."""
        role = self.clients.target.execution_role
        return {"RoleARN": role} if role else {}

    def refusal(self, step: Step, error: ClientError) -> Exception:
        """Write down that a call was refused, and return what to raise for it."""
        self.ledger.finish(step, "refused", {"reason": error.response["Error"]["Message"]})
        return refused(self.wanted.name, error) if judges_request(error) else error

    def finish(self, step: Step, after: ActualStack, *, done: bool) -> None:
        """Write down how an operation ended."""
        self.ledger.finish(step, "done" if done else "failed", {"arn": after.arn, "status": after.status})

    def _template(self) -> dict[str, Any]:
        if self.template_url:
            return {"TemplateURL": self.template_url}
        return {"TemplateBody": self.body or self.wanted.stack.template_path.read_text(encoding="utf-8")}


def change_set_name(token: str) -> str:
    """Return the name of the change set of a token: at most 128 of `[a-zA-Z0-9-]`, beginning with a letter
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html).
    """
    name = CHANGE_SET_PREFIX + token
    if len(name) <= _NAME_LIMIT:
        return name
    digest = hashlib.sha256(token.encode()).hexdigest()[:16]
    return f"{name[: _NAME_LIMIT - len(digest) - 1]}-{digest}"


def capabilities(template: Template) -> list["CapabilityType"]:
    """Return the capabilities that a template needs, and no more: what it does not need cannot be slipped into it.

    Nested stacks' templates are not seen here, so a template with one gets all three
    (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html).
    """
    resources = template.get("Resources", {}).values()
    nested = any(resource.get("Type") == "AWS::CloudFormation::Stack" for resource in resources)
    if nested or "Transform" in template or "Fn::Transform" in json.dumps(template):
        return ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
    identities = [resource for resource in resources if resource.get("Type", "").startswith("AWS::IAM::")]
    if any(_IAM_NAMES & resource.get("Properties", {}).keys() for resource in identities):
        return ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
    return ["CAPABILITY_IAM"] if identities else []


def refused(stack: str, error: ClientError) -> DeployFailed:
    """Return the error that says what CloudFormation refused, in its own words."""
    message = error.response["Error"]["Message"].rstrip(".")
    return DeployFailed(f"CloudFormation refused the stack {stack}: {message}.", remedy_for(message, error_code(error)))


def is_race(error: ClientError) -> bool:
    """Whether the stack changed its state between our look and our call."""
    message = error.response["Error"]["Message"]
    return (
        is_missing(error)
        or "_IN_PROGRESS state" in message
        or error_code(error) in ("AlreadyExists", "OperationInProgress", "TokenAlreadyExists")
    )


def says_nothing_to_do(reason: str) -> bool:
    """Whether this is how CloudFormation says that a stack already is what it is to become."""
    return any(words in reason for words in _EMPTY)
