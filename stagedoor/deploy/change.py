"""The protocol by which one stack is created or changed.

A stack is changed through a change set, which is diff and compare-and-swap in one: executing one change set deletes or
obsoletes the stack's others, and one that is no longer there cannot be executed
(https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ExecuteChangeSet.html). So that it holds, too,
while nothing was executed in between, and on emulators that do not refuse an obsolete one, whoever takes a stack up
first deletes the change sets that its predecessors left: a frozen predecessor that is let go finds nothing to execute.
"""

import hashlib
import json
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from stagedoor.assembly.model import Template
from stagedoor.deploy.access import judges_request
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.contents import empty_buckets, read_contents
from stagedoor.deploy.failure import DeployFailed, change_set_refused, failure_of
from stagedoor.deploy.ledger import Ledger, Step
from stagedoor.deploy.plan import Action, Wanted, decide, parameters_for
from stagedoor.deploy.stacks import (
    CHANGE_SET_PREFIX,
    GONE,
    GOOD,
    REVIEW,
    ActualStack,
    check_ours,
    error_code,
    is_missing,
    read_stack,
    read_template,
    waiting_change_sets,
)
from stagedoor.deploy.watch import LONGEST_PAUSE, Pace, Watch
from stagedoor.events import Emit, Event, EventKind
from stagedoor.naming import StageIdentity

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.literals import CapabilityType
    from mypy_boto3_cloudformation.type_defs import DescribeChangeSetOutputTypeDef

_NAME_LIMIT = 128
_ROUNDS = 30
"""How often a stack is looked at anew before it is said that it does not come to rest. That takes a minute and a half
at least, as a change set that a dead predecessor asked for cannot be deleted before CloudFormation has worked it out.
"""

_OBSOLETE = frozenset({"InvalidChangeSetStatus", "ChangeSetNotFound"})
_EMPTY = ("didn't contain changes", "No updates are to be performed")
_IAM_NAMES = frozenset({"GroupName", "InstanceProfileName", "ManagedPolicyName", "RoleName", "UserName"})


@dataclass(slots=True)
class StackChange:
    """Brings one stack to what is wanted, from whatever state it is in.

    `run` is a work for `run_together`; afterwards `result` is the stack and `changed` tells whether anything was done.
    `template_url` is where the template was published when it is too long to be sent.
    """

    wanted: Wanted
    identity: StageIdentity
    clients: Clients
    ledger: Ledger
    emit: Emit
    template_url: str | None = None
    changed: bool = False
    result: ActualStack | None = None
    updating: str | None = None
    pace: Pace = field(default_factory=Pace)

    def run(self) -> Generator[float, None, None]:
        """Look, decide, do one thing, and look again, until nothing is left to do. Raises `DeployFailed`."""
        for _ in range(_ROUNDS):
            actual = self._read()
            template = read_template(self.clients, actual.arn) if actual and actual.status in GOOD else None
            action = decide(self.wanted, actual, template).action
            if action is Action.UNCHANGED and actual and self._discard_change_sets(actual):
                self._rest(actual)
                return
            if action is Action.JOIN and actual:
                yield from self._join(actual)
            elif action is Action.RECREATE and actual:
                yield from self._delete(actual)
            elif action is Action.CONTINUE and actual:
                yield from self._continue_rollback(actual)
            elif (yield from self._change(actual)):
                return
        raise DeployFailed(
            f"The stack {self.wanted.name} did not come to rest: something else keeps changing it.",
            "Find out what else deploys to this stack, and deploy again.",
        )

    def _read(self) -> ActualStack | None:
        actual = read_stack(self.clients, self.wanted.name)
        if actual is not None:
            check_ours(actual, self.identity)
        return actual

    def _rest(self, actual: ActualStack | None) -> None:
        self.result = actual
        if not self.changed and actual:
            data = {"arn": actual.arn, "ordinal": self.wanted.ordinal}
            self.emit(Event(EventKind.STACK, self.wanted.name, "unchanged", data=data))

    def _watch(self, arn: str, token: str | None) -> Watch:
        paths = self.wanted.stack.construct_paths
        watch = Watch(self.clients, arn, self.emit, token, paths, self.wanted.ordinal)
        watch.skip_past()
        return watch

    def _join(self, actual: ActualStack) -> Generator[float, None, None]:
        """Await what a predecessor began. Whether it did what is wanted is seen by looking again, not from its end."""
        watch = self._watch(actual.arn, None)
        yield from watch.until_finished()
        self.changed = True

    def _delete(self, actual: ActualStack) -> Generator[float, None, None]:
        step = self.ledger.begin("delete-stack", self.wanted.name, {"arn": actual.arn, "status": actual.status})
        if self.identity.disposable:
            empty_buckets(self.clients, read_contents(self.clients, actual.arn))
        watch = self._watch(actual.arn, step.token)
        try:
            self.clients.cloudformation.delete_stack(
                StackName=actual.arn, ClientRequestToken=step.token, **self._role()
            )
        except ClientError as error:
            raise self._refusal(step, error) from None
        after = yield from watch.until_finished()
        self._finish(step, after.status == GONE, after)
        if after.status != GONE:
            raise failure_of(self.clients, self.wanted.stack, after, watch.failures)

    def _continue_rollback(self, actual: ActualStack) -> Generator[float, None, None]:
        step = self.ledger.begin("continue-update-rollback", self.wanted.name, {"arn": actual.arn})
        watch = self._watch(actual.arn, step.token)
        try:
            self.clients.cloudformation.continue_update_rollback(
                StackName=actual.arn, ClientRequestToken=step.token, **self._role()
            )
        except ClientError as error:
            raise self._refusal(step, error) from None
        after = yield from watch.until_finished()
        self._finish(step, after.status == "UPDATE_ROLLBACK_COMPLETE", after)
        if after.status != "UPDATE_ROLLBACK_COMPLETE":
            raise failure_of(self.clients, self.wanted.stack, after, watch.failures)

    def _change(self, actual: ActualStack | None) -> Generator[float, None, bool]:
        """Create a change set and execute it. Returns whether the stack is done; False: look at it again."""
        if actual is not None and not self._discard_change_sets(actual):
            yield self.pace.next(news=False)
            return False
        creating = actual is None or actual.status in (GONE, REVIEW)
        step = self._create_change_set(actual, creating=creating)
        if step is None:
            yield self.pace.next(news=False)
            return False
        described = yield from self._await_change_set(step)
        if described is None:
            self.ledger.finish(step, "refused", {})
            return False
        if described["Status"] == "FAILED":
            return self._unchanged_or_failed(step, described)
        self.ledger.finish(step, "done", {"arn": described.get("StackId", "")})
        return (yield from self._execute(described))

    def _discard_change_sets(self, actual: ActualStack) -> bool:
        """Delete what predecessors left; False when one of them is being executed."""
        for name in waiting_change_sets(self.clients, actual.name):
            try:
                self.clients.cloudformation.delete_change_set(StackName=actual.arn, ChangeSetName=name)
            except ClientError as error:
                if error_code(error) not in _OBSOLETE:
                    raise
                return False
        return True

    def _create_change_set(self, actual: ActualStack | None, *, creating: bool) -> Step | None:
        before = {"type": "CREATE" if creating else "UPDATE", "arn": actual.arn if actual else None}
        step = self.ledger.begin("create-change-set", self.wanted.name, before)
        try:
            self.clients.cloudformation.create_change_set(
                StackName=self.wanted.name,
                ChangeSetName=change_set_name(step.token),
                ClientToken=step.token,
                ChangeSetType="CREATE" if creating else "UPDATE",
                Capabilities=capabilities(self.wanted.template),
                Parameters=parameters_for(self.wanted, None if creating else actual),
                Tags=[{"Key": key, "Value": value} for key, value in self.wanted.tags.items()],
                NotificationARNs=list(self.wanted.stack.notification_arns),
                **self._template(),
                **self._role(),
            )
        except ClientError as error:
            if error_code(error) == "AlreadyExists" and not creating:
                return step  # a retried call whose first answer was lost
            refusal = self._refusal(step, error)
            if _is_race(error):
                return None
            raise refusal from None
        return step

    def _await_change_set(self, step: Step) -> Generator[float, None, "DescribeChangeSetOutputTypeDef | None"]:
        pace = Pace()
        while True:
            try:
                described = self.clients.cloudformation.describe_change_set(
                    StackName=self.wanted.name, ChangeSetName=change_set_name(step.token)
                )
            except ClientError as error:
                if error_code(error) in _OBSOLETE or is_missing(error):
                    return None
                raise
            if described["Status"] in ("CREATE_COMPLETE", "FAILED"):
                return described
            yield min(pace.next(news=False), LONGEST_PAUSE)

    def _unchanged_or_failed(self, step: Step, described: "DescribeChangeSetOutputTypeDef") -> bool:
        reason = described.get("StatusReason", "")
        empty = any(words in reason for words in _EMPTY)
        self.ledger.finish(step, "done" if empty else "failed", {"reason": reason})
        if not empty:  # what failed is left to be looked at; the next deploy takes it away
            raise change_set_refused(self.clients, self.wanted.stack, described["ChangeSetId"], reason)
        self.clients.cloudformation.delete_change_set(
            StackName=self.wanted.name, ChangeSetName=described["ChangeSetName"]
        )
        self._protect()
        self._rest(self._read())
        return True

    def _execute(self, described: "DescribeChangeSetOutputTypeDef") -> Generator[float, None, bool]:
        arn = described["StackId"]
        step = self.ledger.begin("execute-change-set", self.wanted.name, {"arn": arn, "id": described["ChangeSetId"]})
        watch = self._watch(arn, step.token)
        try:
            self.clients.cloudformation.execute_change_set(
                ChangeSetName=described["ChangeSetId"], ClientRequestToken=step.token
            )
        except ClientError as error:
            refusal = self._refusal(step, error)
            if error_code(error) in _OBSOLETE or _is_race(error):
                yield self.pace.next(news=False)
                return False
            raise refusal from None
        self.changed, self.updating = True, arn
        after = yield from watch.until_finished()
        self.updating = None
        self._finish(step, after.status in GOOD, after)
        if after.status not in GOOD:
            raise failure_of(self.clients, self.wanted.stack, after, watch.failures)
        self._protect()
        self._rest(after)
        return True

    def _protect(self) -> None:
        protected = self.wanted.stack.termination_protection
        actual = self._read()
        if actual and actual.termination_protection != protected:
            self.clients.cloudformation.update_termination_protection(
                StackName=actual.arn, EnableTerminationProtection=protected
            )

    def _refusal(self, step: Step, error: ClientError) -> Exception:
        """Write down that a call was refused, and return what to raise for it."""
        self.ledger.finish(step, "refused", {"reason": error.response["Error"]["Message"]})
        return refused(self.wanted, error) if judges_request(error) else error

    def _finish(self, step: Step, done: bool, after: ActualStack) -> None:
        self.ledger.finish(step, "done" if done else "failed", {"arn": after.arn, "status": after.status})

    def _template(self) -> dict[str, Any]:
        if self.template_url:
            return {"TemplateURL": self.template_url}
        return {"TemplateBody": self.wanted.stack.template_path.read_text(encoding="utf-8")}

    def _role(self) -> dict[str, Any]:
        role = self.clients.target.execution_role
        return {"RoleARN": role} if role else {}


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


def refused(wanted: Wanted, error: ClientError) -> DeployFailed:
    """Return the error that says what CloudFormation refused, in its own words."""
    message = error.response["Error"]["Message"].rstrip(".")
    return DeployFailed(
        f"CloudFormation refused the stack {wanted.name}: {message}.",
        "Correct the app as the reason says, and deploy again.",
    )


def _is_race(error: ClientError) -> bool:
    """Whether the stack changed its state between our look and our call."""
    message = error.response["Error"]["Message"]
    return (
        is_missing(error)
        or "_IN_PROGRESS state" in message
        or error_code(error) in ("AlreadyExists", "OperationInProgress")
    )
