"""What is to be done with one stack: a pure function of what is wanted and what the account says.

It is asked for the plan, and again when the stack's turn comes, since time has passed by then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stagedoor.deploy.comparison.resolution import parameters_of
from stagedoor.deploy.stacks import GONE, GOOD, REVIEW, UNUSABLE, ActualStack
from stagedoor.deploy.wanted import Wanted, parameter_may_differ


class Action(StrEnum):
    """What is to be done with a stack next. After `JOIN`, `RECREATE` and `CONTINUE` it is looked at again."""

    CREATE = "create"
    UPDATE = "update"
    HOTSWAP = "hotswap"  # what changes is changed without CloudFormation, in a second
    RECREATE = "recreate"  # it can only be deleted: do that, then create it anew
    CONTINUE = "continue"  # its rollback failed half-way: let CloudFormation try again, then update it
    JOIN = "join"  # something is under way: await its end
    UNCHANGED = "unchanged"
    DELETE = "delete"  # the app no longer has it
    KEEP = "keep"  # the app no longer has it, but this stage's data is not ours to delete


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a stack, and why, in words that a person reads in the plan."""

    action: Action
    reason: str


def decide(wanted: Wanted, actual: ActualStack | None, template: Mapping[str, Any] | None) -> Decision:
    """Decide about a stack that is ours or not there. `template` is what it was last given; None: not comparable."""
    if actual is None or actual.status in (GONE, REVIEW):
        return Decision(Action.CREATE, "it does not exist")
    if actual.busy:
        return Decision(Action.JOIN, f"it is {actual.status}")
    if actual.status in UNUSABLE:
        return Decision(Action.RECREATE, f"it is {actual.status}, from which CloudFormation offers only deletion")
    if actual.status == "UPDATE_ROLLBACK_FAILED":
        return Decision(Action.CONTINUE, "its last update could not be rolled back")
    differs = _difference(wanted, actual, template)
    if differs:
        return Decision(Action.UPDATE, differs)
    return Decision(Action.UNCHANGED, "template, parameters and tags are the same")


def _difference(wanted: Wanted, actual: ActualStack, template: Mapping[str, Any] | None) -> str:
    """Return in words what differs; empty when nothing does. What cannot be known counts as different: the change set
    that follows knows it.
    """
    if actual.status not in GOOD:
        return f"it is {actual.status}"
    if template is None or template != wanted.template:
        return "its template changes"
    if dict(actual.tags) != dict(wanted.tags):
        return "its tags change"
    if actual.termination_protection != wanted.stack.termination_protection:
        return "its termination protection changes"
    for key, definition in parameters_of(wanted.template).items():
        if parameter_may_differ(key, definition, wanted, actual):
            return f"its parameter {key} changes"
    return ""
