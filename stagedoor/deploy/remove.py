"""Takes a stage away: its stacks in the reverse order of their dependencies, and what they would leave behind.

Only stacks whose tags are exactly the stage's are deleted, and each by its ARN: a stack that took the name of a deleted
one is never meant. CloudFormation has no compare-and-swap for a deletion. A frozen predecessor's late one cannot delete
what a successor made anew, which has another ARN; where the successor changed the stack in place, the promise is
convergence: the stack is made anew.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from stagedoor.deploy.access import judges_request
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.contents import (
    Contents,
    empty_buckets,
    read_contents,
    read_contents_of_deleted,
    remove_log_groups,
)
from stagedoor.deploy.ledger import Ledger
from stagedoor.deploy.plan import KnownStack
from stagedoor.deploy.stacks import (
    CHANGE_SET_PREFIX,
    GONE,
    ActualStack,
    is_missing,
    is_ours,
    is_unclaimed_review,
    read_all_stacks,
    read_stack,
)
from stagedoor.deploy.watch import FIRST_PAUSE, Watch, Work, run_together
from stagedoor.errors import UserError
from stagedoor.events import Emit
from stagedoor.naming import StageIdentity

_ATTEMPTS = 4


class RemoveFailed(UserError):
    """A stack could not be deleted."""

    id = "remove-failed"


class ProtectedFromRemoval(UserError):
    """A stack that is not disposable is protected against deletion."""

    id = "protected-from-removal"


@dataclass(frozen=True, slots=True)
class Kept:
    """A resource that outlives its stack because its template says so."""

    stack: str
    logical_id: str
    type: str
    physical_id: str


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of a stage: the names of its deleted stacks, and the resources that outlive them."""

    deleted: tuple[str, ...]
    kept: tuple[Kept, ...]


def remove(
    identity: StageIdentity, clients: Clients, ledger: Ledger, emit: Emit, known: Sequence[KnownStack] = ()
) -> Removed:
    """Delete every stack of the stage, those that are known and those whose tags say that they are its own.

    Needs neither the app's source nor its assembly. Nothing to delete is a success. A disposable stage's buckets are
    emptied and the log groups of its functions removed. Raises `RemoveFailed`, `ProtectedFromRemoval`.
    """
    for stack in known:
        _remove_leftovers_of_deleted(stack, identity, clients)
    return delete_stacks(stage_stacks(clients, identity, known), identity, clients, ledger, emit, known=known)


def delete_stacks(
    stacks: Sequence[ActualStack],
    identity: StageIdentity,
    clients: Clients,
    ledger: Ledger,
    emit: Emit,
    *,
    known: Sequence[KnownStack],
) -> Removed:
    """Delete these stacks of the stage, each after those that depend on it: those that import its exports, and those
    that are known to be deeper. What does not depend on a failure is deleted all the same.
    """
    ordinals = {stack.name: stack.ordinal for stack in known}
    importers = {stack.name: _importers(clients, stack) for stack in stacks}
    for stack in stacks:
        _check_protection(stack, identity)
    removals = {stack.name: _Removal(stack, identity, clients, ledger, emit) for stack in stacks}
    waiting = dict(removals)
    errors: list[UserError] = []

    def work(removal: _Removal) -> Work:
        try:
            yield from removal.run()
        except UserError as error:
            errors.append(error)

    def startable() -> Mapping[str, Work]:
        left = {name for name, removal in removals.items() if not removal.done}
        ready = [name for name in waiting if not _blockers(name, left, ordinals, importers)]
        return {name: work(waiting.pop(name)) for name in ready}

    run_together(startable)
    if errors:
        raise errors[0]
    kept = tuple(kept for removal in removals.values() for kept in removal.kept)
    return Removed(tuple(name for name, removal in removals.items() if removal.done), kept)


def stage_stacks(clients: Clients, identity: StageIdentity, known: Sequence[KnownStack]) -> list[ActualStack]:
    """Return the stage's stacks that exist: those whose tags say so, and known ones that never got beyond review.

    A known stack whose tags now say otherwise is not among them: it was deleted and its name taken by another.
    """
    found = {stack.arn: stack for stack in read_all_stacks(clients) if is_ours(stack, identity)}
    for remembered in known:
        actual = read_stack(clients, remembered.name)
        if actual and is_unclaimed_review(actual) and _only_our_change_sets(clients, actual):
            found.setdefault(actual.arn, actual)
    return [stack for stack in found.values() if stack.status != GONE]


@dataclass(slots=True)
class _Removal:
    """Deletes one stack, from whatever state it is in."""

    actual: ActualStack
    identity: StageIdentity
    clients: Clients
    ledger: Ledger
    emit: Emit
    done: bool = False
    kept: tuple[Kept, ...] = ()
    failure: str = ""
    contents: Contents = field(default_factory=Contents)

    def run(self) -> Work:
        for _ in range(_ATTEMPTS):
            yield from self._rest()
            actual = read_stack(self.clients, self.actual.arn)
            if actual is None or actual.status == GONE:
                self._over()
                return
            yield from self._delete(actual)
            if self.done:
                return
        raise RemoveFailed(
            f"The stack {self.actual.name} could not be deleted: {self.failure.rstrip('.')}.",
            "Put right what the reason says, and remove the stage again.",
        )

    def _rest(self) -> Generator[float, None, None]:
        """Cut an update under way short and await the end of whatever is under way; CloudFormation deletes no stack in
        the middle of an update, and half-made resources are not yet known to be a stack's.
        """
        actual = read_stack(self.clients, self.actual.arn)
        if actual is None or not actual.busy:
            return
        if actual.status == "UPDATE_IN_PROGRESS":
            step = self.ledger.begin("cancel-update-stack", actual.name, {"arn": actual.arn})
            try:
                self.clients.cloudformation.cancel_update_stack(StackName=actual.arn, ClientRequestToken=step.token)
            except ClientError as error:  # it ended meanwhile
                self.ledger.finish(step, "refused", {"reason": error.response["Error"]["Message"]})
            else:
                self.ledger.finish(step, "done", {})
        watch = Watch(self.clients, actual.arn, self.emit)
        watch.skip_past()
        yield from watch.until_finished()

    def _delete(self, actual: ActualStack) -> Generator[float, None, None]:
        self._read_contents(actual)
        if self.identity.disposable:
            empty_buckets(self.clients, self.contents)
            self._lift_protection(actual)
        step = self.ledger.begin("delete-stack", actual.name, {"arn": actual.arn, "status": actual.status})
        role = self.clients.target.execution_role
        watch = Watch(self.clients, actual.arn, self.emit, step.token)
        watch.skip_past()
        try:
            if role:
                self.clients.cloudformation.delete_stack(
                    StackName=actual.arn, ClientRequestToken=step.token, RoleARN=role
                )
            else:
                self.clients.cloudformation.delete_stack(StackName=actual.arn, ClientRequestToken=step.token)
        except ClientError as error:
            self.failure = error.response["Error"]["Message"]
            self.ledger.finish(step, "refused", {"reason": self.failure})
            if not judges_request(error):
                raise
            yield FIRST_PAUSE
            return
        after = yield from watch.until_finished()
        gone = after.status == GONE
        self.ledger.finish(step, "done" if gone else "failed", {"arn": actual.arn, "status": after.status})
        if gone:
            self._over()
        else:
            reasons = [failure.get("ResourceStatusReason", "") for failure in watch.failures]
            self.failure = next((reason for reason in reasons if reason), after.reason or after.status)

    def _read_contents(self, actual: ActualStack) -> None:
        self.contents = read_contents(self.clients, actual.arn)
        self.kept = tuple(
            Kept(actual.name, resource.logical_id, resource.type, resource.physical_id)
            for resource in self.contents.retained
        )

    def _over(self) -> None:
        if self.identity.disposable:
            remove_log_groups(self.clients, self.contents)
        self.done = True

    def _lift_protection(self, actual: ActualStack) -> None:
        if actual.termination_protection:
            self.clients.cloudformation.update_termination_protection(
                StackName=actual.arn, EnableTerminationProtection=False
            )


def _blockers(
    name: str, left: set[str], ordinals: Mapping[str, int], importers: Mapping[str, frozenset[str]]
) -> set[str]:
    """Return the stacks among `left` that must be gone before this one."""
    own = ordinals.get(name)
    deeper = {other for other in left if own is not None and ordinals.get(other, -1) > own}
    return {*(importers[name] & left), *deeper} - {name}


def _importers(clients: Clients, stack: ActualStack) -> frozenset[str]:
    importing: set[str] = set()
    for export in stack.exports:
        try:
            for page in clients.cloudformation.get_paginator("list_imports").paginate(ExportName=export):
                importing.update(page["Imports"])
        except ClientError as error:
            if "not imported" not in error.response["Error"]["Message"] and not is_missing(error):
                raise
    return frozenset(importing)


def _check_protection(stack: ActualStack, identity: StageIdentity) -> None:
    if stack.termination_protection and not identity.disposable:
        raise ProtectedFromRemoval(
            f"The stack {stack.name} is protected against deletion.",
            "Turn its termination protection off in CloudFormation if it is really to go.",
        )


def _only_our_change_sets(clients: Clients, actual: ActualStack) -> bool:
    pages = clients.cloudformation.get_paginator("list_change_sets").paginate(StackName=actual.arn)
    names = [summary.get("ChangeSetName", "") for page in pages for summary in page["Summaries"]]
    return all(name.startswith(CHANGE_SET_PREFIX) for name in names)


def _remove_leftovers_of_deleted(stack: KnownStack, identity: StageIdentity, clients: Clients) -> None:
    """Remove the log groups of a stack that a predecessor deleted without living to remove them."""
    if not identity.disposable or stack.arn is None:
        return
    actual = read_stack(clients, stack.arn)
    if actual is not None and actual.status == GONE and is_ours(actual, identity):
        remove_log_groups(clients, read_contents_of_deleted(clients, stack.arn))
