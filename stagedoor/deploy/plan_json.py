"""A plan as plain JSON, for programs: the shape that docs/cli.md documents. Secrets were hidden when it was made."""

from dataclasses import asdict
from typing import Any

from stagedoor.deploy.plan import Plan, StackPlan


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """Return the whole plan: `unchanged`, what is refused, and `stacks` in the order of their dependencies."""
    return {
        "unchanged": plan.unchanged,
        "refusals": [{"id": one.id, "what": one.what, "remedy": one.remedy} for one in plan.refusals],
        "stacks": [_stack(stack) for stack in plan.stacks],
    }


def _stack(stack: StackPlan) -> dict[str, Any]:
    changes = stack.difference
    return {
        "name": stack.name,
        "id": stack.stack_id,
        "action": stack.action.value,
        "reason": stack.reason,
        "permissions": [asdict(change) for change in stack.permissions],
        "resources": [asdict(change) for change in changes.resources],
        "parameters": [asdict(change) for change in changes.parameters],
        "outputs": [asdict(change) for change in changes.outputs],
    }
