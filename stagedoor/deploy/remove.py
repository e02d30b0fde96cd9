"""Takes a stage away: its stacks in the reverse order of their dependencies, and what they would leave behind.

Only stacks whose tags are exactly the stage's are deleted, and each by its ARN: a stack that took the name of a deleted
one is never meant. CloudFormation has no compare-and-swap for a deletion. A frozen predecessor's late one cannot delete
what a successor made anew, which has another ARN; where the successor changed the stack in place, the promise is
convergence: the stack is made anew.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from botocore.exceptions import ClientError

from stagedoor.deploy.clients import Clients
from stagedoor.deploy.deletion import Deletion, Kept, RemoveFailed
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
from stagedoor.deploy.together import AT_ONCE, Work, run_alone, run_together
from stagedoor.errors import UserError
from stagedoor.events import Emit
from stagedoor.naming import StageIdentity

__all__ = ["Kept", "ProtectedFromRemoval", "RemoveFailed", "Removed", "delete_stacks", "remove", "stage_stacks"]


class ProtectedFromRemoval(UserError):
    """A stack that is not disposable is protected against deletion."""

    id = "protected-from-removal"


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of a stage: the names of its deleted stacks, and the resources that outlive them."""

    deleted: tuple[str, ...]
    kept: tuple[Kept, ...]


def remove(
    identity: StageIdentity, clients: Clients, ledger: Ledger, emit: Emit, known: Sequence[KnownStack] = ()
) -> Removed:
    """Delete every stack of the stage, those that are known and those whose tags say that they are its own.

    Needs neither the app's source nor its assembly. Nothing to delete is a success. A disposable stage's buckets and
    repositories are emptied and the log groups of its functions removed. Raises `RemoveFailed`, `ProtectedFromRemoval`.
    """
    kept = [one for stack in known for one in _clear_after(stack, identity, clients, ledger, emit)]
    removed = delete_stacks(stage_stacks(clients, identity, known), identity, clients, ledger, emit, known=known)
    return Removed(removed.deleted, (*kept, *removed.kept))


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
    for stack in stacks:
        _check_protection(stack, identity)
    ordinals = {stack.name: stack.ordinal for stack in known}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="imports") as readers:
        found = readers.map(lambda stack: _importers(clients, stack), stacks)
        importers = dict(zip((stack.name for stack in stacks), found, strict=True))
    deletions = {stack.name: Deletion(stack, identity, clients, ledger, emit) for stack in stacks}
    waiting = dict(deletions)
    errors: list[UserError] = []

    def work(deletion: Deletion) -> Work[None]:
        try:
            yield from deletion.run()
        except UserError as error:
            errors.append(error)

    def startable() -> Mapping[str, Work[None]]:
        left = {name for name, deletion in deletions.items() if not deletion.done}
        ready = [name for name in waiting if not _blockers(name, left, ordinals, importers)]
        return {name: work(waiting.pop(name)) for name in ready}

    run_together(startable)
    if errors:
        raise errors[0]
    kept = tuple(kept for deletion in deletions.values() for kept in deletion.kept)
    return Removed(tuple(name for name, deletion in deletions.items() if deletion.done), kept)


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


def _clear_after(
    stack: KnownStack, identity: StageIdentity, clients: Clients, ledger: Ledger, emit: Emit
) -> tuple[Kept, ...]:
    """Take away what a stack left that a predecessor deleted without living to do so; return what stays."""
    actual = read_stack(clients, stack.arn) if identity.disposable and stack.arn else None
    if actual is None or actual.status != GONE or not is_ours(actual, identity):
        return ()
    deletion = Deletion(actual, identity, clients, ledger, emit)
    run_alone(deletion.run())
    return deletion.kept
