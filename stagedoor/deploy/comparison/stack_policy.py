"""What a stack's policy lets an update do
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/protect-stack-resources.html).
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from stagedoor.deploy.comparison.differences import ChangeAction, ResourceChange
from stagedoor.deploy.comparison.resource_types.reading import Replacement


def denied(policy: Mapping[str, Any], changes: Sequence[ResourceChange]) -> Iterator[tuple[ResourceChange, str]]:
    """Yield the changes that a policy does not allow, each with the action that it would be (`Update:Replace`).

    Where there is a policy everything is denied that it does not allow, and a denial outweighs; new resources are not
    protected.
    """
    statements = [one for one in _listed(policy.get("Statement")) if isinstance(one, Mapping)]
    for change in changes:
        if change.action in (ChangeAction.ADD, ChangeAction.IMPORT):
            continue
        action = _action(change)
        effects = {one.get("Effect") for one in statements if _is_about(one, change, action)}
        if "Deny" in effects or "Allow" not in effects:
            yield change, action


def _action(change: ResourceChange) -> str:
    if change.action is ChangeAction.REMOVE:
        return "Update:Delete"
    return "Update:Replace" if change.replacement is Replacement.ALWAYS else "Update:Modify"


def _is_about(statement: Mapping[str, Any], change: ResourceChange, action: str) -> bool:
    resource = f"LogicalResourceId/{change.logical_id}"
    return (
        _meets(statement, "Action", action)
        and _meets(statement, "Resource", resource)
        and all(
            any(fnmatchcase(change.type, pattern) for pattern in _listed(test.get("ResourceType")))
            for test in statement.get("Condition", {}).values()
        )
    )


def _meets(statement: Mapping[str, Any], element: str, value: str) -> bool:
    """Whether a value is among a statement's `Action` or `Resource`, or not among its `NotAction` or `NotResource`."""
    if f"Not{element}" in statement:
        return not any(fnmatchcase(value, pattern) for pattern in _listed(statement[f"Not{element}"]))
    return any(fnmatchcase(value, pattern) for pattern in _listed(statement.get(element)))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
