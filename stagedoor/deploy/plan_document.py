"""A plan that the service made, read from its JSON (`stagedoor.deploy.plan_json`), to be told as one made here."""

from collections.abc import Iterable, Mapping
from typing import Any

from stagedoor.deploy.comparison.differences import ChangeAction, ResourceChange, StackDifference, ValueChange
from stagedoor.deploy.comparison.permissions import PermissionChange, PermissionKind
from stagedoor.deploy.comparison.resource_types.reading import Replacement
from stagedoor.deploy.decision import Action
from stagedoor.deploy.plan import Plan, StackPlan
from stagedoor.errors import UserError


class PlanUnreadable(UserError):
    """A plan that another version of Stagedoor wrote, in words that this one does not know."""

    id = "plan-unreadable"


def plan_from_json(said: Mapping[str, Any]) -> Plan:
    """Return the plan that `plan_as_json` wrote, as far as people are told of it. Raises `PlanUnreadable`."""
    try:
        return Plan(
            stacks=tuple(_read_stack(stack) for stack in said["stacks"]),
            refusals=tuple(_read_refusal(one) for one in said["refusals"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PlanUnreadable(
            f"The plan cannot be read ({type(error).__name__}: {error}).",
            "Update this Stagedoor to the service's version.",
        ) from error


def _read_stack(said: Mapping[str, Any]) -> StackPlan:
    changes = StackDifference(
        resources=tuple(
            ResourceChange(
                logical_id=one["logical_id"],
                type=one["type"],
                construct_path=one["construct_path"],
                action=ChangeAction(one["action"]),
                replacement=Replacement(one["replacement"]),
                properties=_read_values(one["properties"]),
                loses_data=one["loses_data"],
                kept=one["kept"],
                cause=one["cause"],
            )
            for one in said["resources"]
        ),
        outputs=_read_values(said["outputs"]),
        parameters=_read_values(said["parameters"]),
    )
    permissions = tuple(
        PermissionChange(ChangeAction(one["action"]), PermissionKind(one["kind"]), one["subject"], one["rule"])
        for one in said["permissions"]
    )
    action = Action(said["action"])
    return StackPlan(said["name"], said["id"], action, said["reason"], difference=changes, permissions=permissions)


def _read_values(said: Iterable[Mapping[str, Any]]) -> tuple[ValueChange, ...]:
    return tuple(
        ValueChange(one["path"], one["before"], one["after"], Replacement(one["replacement"]), one["cause"])
        for one in said
    )


def _read_refusal(said: Mapping[str, Any]) -> UserError:
    kind: type[UserError] = type("Refused", (UserError,), {"id": str(said["id"])})
    return kind(said["what"], said["remedy"])
