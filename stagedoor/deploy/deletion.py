"""Deletes one stack, from whatever state it is in, with what it would stumble over.

A deletion that fails is tried again: buckets may have been written to meanwhile, and what depended on what is only
found out on the way. The network interfaces of functions in a VPC are waited for. What then still cannot be deleted is
left behind and named where the stage is disposable, else it is an error.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from stagedoor.deploy.access import judges_request
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.contents import Contents, Resource, empty_contents, read_contents, remove_log_groups
from stagedoor.deploy.failure import remedy_for
from stagedoor.deploy.ledger import Ledger
from stagedoor.deploy.left_behind import read_left_behind, take_away
from stagedoor.deploy.pace import LONGEST_PAUSE, Pace
from stagedoor.deploy.stacks import GONE, ActualStack, read_stack
from stagedoor.deploy.together import Work, ask
from stagedoor.deploy.watch import Watch
from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.naming import StageIdentity

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef

_ATTEMPTS = 3
_NESTED = "AWS::CloudFormation::Stack"
_NETWORK = ("AWS::EC2::SecurityGroup", "AWS::EC2::Subnet", "AWS::EC2::VPC", "AWS::EC2::NetworkInterface")
_HELD = ("DependencyViolation", "dependent object", "has dependencies", "currently in use")
INTERFACE_PATIENCE = 1800.0
"""Seconds for which network interfaces are waited for. Lambda gives those of a deleted function back after up to twenty
minutes (https://repost.aws/knowledge-center/lambda-eni-find-delete)."""
INTERFACE_PAUSE = 30.0


class RemoveFailed(UserError):
    """A stack could not be deleted."""

    id = "remove-failed"


@dataclass(frozen=True, slots=True)
class Kept:
    """A resource that outlives its stack, and why: its template says so, or it could not be deleted."""

    stack: str
    logical_id: str
    type: str
    physical_id: str
    reason: str = ""


@dataclass(slots=True)
class Deletion:
    """Deletes one stack of a stage. `run` is a work for `run_together`; afterwards `kept` is what outlives it."""

    actual: ActualStack
    identity: StageIdentity
    clients: Clients
    ledger: Ledger
    emit: Emit
    construct_paths: Mapping[str, str] = field(default_factory=dict)
    done: bool = False
    kept: tuple[Kept, ...] = ()
    _contents: Contents = field(default_factory=Contents)
    _failures: list["StackEventTypeDef"] = field(default_factory=list)
    _reason: str = ""

    def run(self) -> Work[None]:
        """Delete the stack. Raises `RemoveFailed` when it cannot be."""
        attempts, waited = 0, 0.0
        pace = Pace(self.clients.looks)
        while attempts < _ATTEMPTS and not self.done:
            yield from self._attempt([])
            if not self.done and self._held_by_interfaces() and waited < INTERFACE_PATIENCE:
                waited += yield from self._wait_for_interfaces(first=waited == 0)
            elif not self.done:
                attempts += 1
                yield pace.next(news=False)
        if not self.done and self.identity.disposable and self._failures:
            yield from self._leave_behind()
        if not self.done:
            raise RemoveFailed(
                f"The stack {self.actual.name} could not be deleted: {self._reason.rstrip('.')}.",
                remedy_for(self._reason, otherwise="Put right what the reason says, and try again."),
            )

    def _attempt(self, retained: list[str]) -> Work[None]:
        yield from self._rest()
        actual = yield from ask(lambda: read_stack(self.clients, self.actual.arn))
        if actual is None or actual.status == GONE:
            yield from self._over(retained)
            return
        yield from self._prepare(actual)
        yield from self._delete(actual, retained)

    def _rest(self) -> Work[None]:
        """Cut an update under way short and await the end of whatever is under way; CloudFormation deletes no stack in
        the middle of an update, and half-made resources are not yet known to be a stack's.
        """
        actual = yield from ask(lambda: read_stack(self.clients, self.actual.arn))
        if actual is None or not actual.busy:
            return
        if actual.status == "UPDATE_IN_PROGRESS":
            yield from cancel_update(self.clients, self.ledger, actual.name, actual.arn)
        watch = Watch(self.clients, actual.arn, self.emit)
        yield from watch.skip_past()
        yield from watch.until_finished()

    def _prepare(self, actual: ActualStack) -> Work[None]:
        self._contents = yield from ask(lambda: read_contents(self.clients, actual.arn))
        told = [_kept(actual.name, one, why) for one, why in self._contents.retained]
        self.kept = tuple(dict.fromkeys((*self.kept, *told)))
        if not self.identity.disposable:
            return
        for place, what in (yield from ask(lambda: empty_contents(self.clients, self._contents))):
            self.emit(Event(EventKind.WARNING, f"{actual.name}/{place.logical_id}", message=what))
        if actual.termination_protection:
            yield from ask(
                lambda: self.clients.cloudformation.update_termination_protection(
                    StackName=actual.arn, EnableTerminationProtection=False
                )
            )

    def _delete(self, actual: ActualStack, retained: list[str]) -> Work[None]:
        step = self.ledger.begin("delete-stack", actual.name, {"arn": actual.arn, "status": actual.status})
        watch = Watch(self.clients, actual.arn, self.emit, construct_paths=self.construct_paths)
        yield from watch.begin(step.token)
        arguments: dict[str, Any] = {"StackName": actual.arn, "ClientRequestToken": step.token}
        if self.clients.target.execution_role:
            arguments["RoleARN"] = self.clients.target.execution_role
        if retained:
            arguments["RetainResources"] = retained
        try:
            yield from ask(lambda: self.clients.cloudformation.delete_stack(**arguments))
        except ClientError as error:
            self._reason, self._failures = error.response["Error"]["Message"], []
            self.ledger.finish(step, "refused", {"reason": self._reason})
            if not judges_request(error):
                raise
            return
        after = yield from watch.until_finished()
        gone = after.status == GONE
        self.ledger.finish(step, "done" if gone else "failed", {"arn": actual.arn, "status": after.status})
        if gone:
            yield from self._over(retained)
            return
        self._failures = watch.failures
        reasons = [failure.get("ResourceStatusReason", "") for failure in watch.failures]
        self._reason = next((reason for reason in reasons if reason), after.reason or after.status)

    def _over(self, retained: list[str]) -> Work[None]:
        """Take away what the stack left now, and what its updates left before: its events outlive it."""
        if self.identity.disposable:
            left = yield from ask(lambda: read_left_behind(self.clients, self.actual.arn))
            groups = dict.fromkeys((*self._contents.log_groups, *left.log_groups))
            staying = yield from ask(lambda: remove_log_groups(self.clients, groups))
            self.kept += tuple(_kept(self.actual.name, one, why) for one, why in staying)
            forgotten = [(one, why) for one, why in left.resources if one.logical_id not in retained]
            self.kept += yield from clear_up(
                forgotten, self.actual.name, self.identity, self.clients, self.ledger, self.emit
            )
        self.done = True

    def _held_by_interfaces(self) -> bool:
        """Whether all that is in the way is a network in use, as it is until Lambda gives its interfaces back."""
        return bool(self._failures) and all(
            failure.get("ResourceType") in _NETWORK
            and any(words in failure.get("ResourceStatusReason", "") for words in _HELD)
            for failure in self._failures
        )

    def _wait_for_interfaces(self, *, first: bool) -> Work[float]:
        held = ", ".join(failure.get("LogicalResourceId", "") for failure in self._failures)
        if first:
            message = f"{held} cannot be deleted before Lambda gives its network interfaces back: up to 20 minutes."
            self.emit(Event(EventKind.WARNING, self.actual.name, message=message))
        watch, waited = Watch(self.clients, self.actual.arn, self.emit), 0.0
        yield from watch.skip_past()
        while waited < INTERFACE_PAUSE:  # in short steps, each with a look, so that an interruption is noticed
            pause = min(LONGEST_PAUSE, INTERFACE_PAUSE)
            yield pause
            waited += pause
            yield from watch.look()
        return waited

    def _leave_behind(self) -> Work[None]:
        """Delete the stack without what could not be deleted. CloudFormation takes such a list only of a stack that is
        DELETE_FAILED, and only of resources that failed
        (https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DeleteStack.html).
        """
        left = {failure.get("LogicalResourceId", ""): failure for failure in self._failures}
        yield from self._attempt(sorted(left))
        if not self.done:
            return
        for logical_id, failure in left.items():
            kind, physical_id = failure.get("ResourceType", ""), failure.get("PhysicalResourceId", "")
            why = failure.get("ResourceStatusReason", "")
            if kind == _NESTED and physical_id.startswith("arn:"):
                self.kept += yield from _delete_nested(physical_id, self.identity, self.clients, self.ledger, self.emit)
            else:
                self.kept += (Kept(self.actual.name, logical_id, kind, physical_id, why),)


def clear_up(
    left: Iterable[tuple[Resource, str]],
    stack: str,
    identity: StageIdentity,
    clients: Clients,
    ledger: Ledger,
    emit: Emit,
) -> Work[tuple[Kept, ...]]:
    """Take away what updates of a disposable stage's stack left behind, nested stacks too; return what stays."""
    kept: list[Kept] = []
    for resource, why in (yield from take_away(left, stack, clients, ledger, emit)):
        if resource.type == _NESTED:
            kept += yield from _delete_nested(resource.physical_id, identity, clients, ledger, emit)
        else:
            kept.append(_kept(stack, resource, why))
    return tuple(kept)


def _delete_nested(
    arn: str, identity: StageIdentity, clients: Clients, ledger: Ledger, emit: Emit
) -> Work[tuple[Kept, ...]]:
    """Delete a nested stack that its parent left behind: only of itself can a list of what it leaves be given."""
    nested = yield from ask(lambda: read_stack(clients, arn))
    if nested is None or nested.status == GONE:
        return ()
    inner = Deletion(nested, identity, clients, ledger, emit)
    yield from inner.run()
    return inner.kept


def _kept(stack: str, resource: Resource, why: str) -> Kept:
    return Kept(stack, resource.logical_id, resource.type, resource.physical_id, why)


def cancel_update(clients: Clients, ledger: Ledger, name: str, arn: str) -> Work[None]:
    """Let CloudFormation roll an update back. An update that has ended meanwhile, and a creation, cannot be."""
    step = ledger.begin("cancel-update-stack", name, {"arn": arn})
    try:
        yield from ask(lambda: clients.cloudformation.cancel_update_stack(StackName=arn, ClientRequestToken=step.token))
    except ClientError as error:
        ledger.finish(step, "refused", {"reason": error.response["Error"]["Message"]})
    else:
        ledger.finish(step, "done", {})
