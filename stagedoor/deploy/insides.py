"""What a deploy need not know and a person wants to: what changes inside nested stacks, and what goes with a stack.

It takes calls that a deploy does not make (two for each nested stack that changes, one for each stack that is deleted),
so only a diff asks. A nested stack's parameters are what its parent passes, before and after: values that only the
account knows are compared as they are written.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from stagedoor.assembly.model import DockerImageAsset, Stack, Template
from stagedoor.assembly.template import NESTED_STACK, construct_paths_of
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.comparison.differences import difference
from stagedoor.deploy.comparison.permissions import permission_changes
from stagedoor.deploy.comparison.resolution import Comparison, Resolved, resolve, values_of
from stagedoor.deploy.decision import Action
from stagedoor.deploy.plan import Plan, StackPlan
from stagedoor.deploy.stacks import ActualStack, read_template


def with_insides(plan: Plan, clients: Clients) -> Plan:
    """Return the plan with the changes of nested stacks among those of the stacks around them, their logical ids behind
    those of the nested stacks (`Nested/Table`), and with the resources of stacks that are deleted.
    """
    return replace(plan, stacks=tuple(_with_insides(stack, clients) for stack in plan.stacks))


def _with_insides(stack: StackPlan, clients: Clients) -> StackPlan:
    if stack.action is Action.DELETE and stack.actual:
        template = dict(read_template(clients, stack.actual.arn) or {})
        gone = resolve(template, values_of(template, stack.actual.parameters, stack.name, clients.target))
        paths = construct_paths_of(template)
        return replace(
            stack,
            difference=difference(gone, Resolved(), paths),
            permissions=permission_changes(gone, Resolved(), paths),
        )
    if stack.comparison is None or stack.action is Action.HOTSWAP:
        return stack
    resources = list(stack.difference.resources)
    permissions = list(stack.permissions)
    for inside, prefix in _nested(stack.comparison, "", clients):
        inner = difference(inside.before, inside.after, inside.paths).resources
        resources += [replace(change, logical_id=f"{prefix}{change.logical_id}") for change in inner]
        permissions += permission_changes(inside.before, inside.after, inside.paths)
    told = replace(stack.difference, resources=tuple(resources))
    return replace(stack, difference=told, permissions=tuple(permissions))


def _nested(outer: Comparison, prefix: str, clients: Clients) -> Iterator[tuple[Comparison, str]]:
    """Yield the comparison of each nested stack, to any depth, with what comes before its logical ids."""
    for logical_id in {**outer.before.resources, **outer.after.resources}:
        before, after = _stack_in(outer.before, logical_id), _stack_in(outer.after, logical_id)
        if before == after:
            continue
        actual = _actual(outer, logical_id, clients) if before is not None else None
        old = dict(read_template(clients, actual.arn) or {}) if actual else {}
        new = _template(outer.stack, after)
        if new is None:
            continue
        inside = Comparison(
            outer.stack,
            new,
            actual,
            _resolved(old, before, clients),
            _resolved(new, after, clients),
            {**outer.paths, **construct_paths_of(old), **construct_paths_of(new)},
        )
        yield inside, f"{prefix}{logical_id}/"
        yield from _nested(inside, f"{prefix}{logical_id}/", clients)


def _stack_in(template: Resolved, logical_id: str) -> Mapping[str, Any] | None:
    """Return the properties of a nested stack; None where there is none of that id."""
    resource = template.resources.get(logical_id, {})
    properties = resource.get("Properties", {})
    return properties if resource.get("Type") == NESTED_STACK and isinstance(properties, dict) else None


def _actual(outer: Comparison, logical_id: str, clients: Clients) -> ActualStack | None:
    if outer.actual is None:
        return None
    found = clients.cloudformation.describe_stack_resource(StackName=outer.actual.arn, LogicalResourceId=logical_id)
    detail = found["StackResourceDetail"]
    arn = detail.get("PhysicalResourceId", "")
    return ActualStack(logical_id, arn, detail["ResourceStatus"]) if arn else None


def _template(stack: Stack, properties: Mapping[str, Any] | None) -> Template | None:
    """Return the template that a nested stack is to have, from the assembly; None where that does not hold it."""
    if properties is None:
        return {}
    url = properties.get("TemplateURL")
    for asset in stack.assets:
        if not isinstance(asset, DockerImageAsset) and isinstance(url, str) and url.endswith(f"/{asset.key}"):
            template: Template = json.loads(Path(asset.source).read_text(encoding="utf-8"))
            return template
    return None


def _resolved(template: Template, properties: Mapping[str, Any] | None, clients: Clients) -> Resolved:
    passed = properties.get("Parameters", {}) if properties else {}
    defaults = {
        name: found["Default"]
        for name, found in template.get("Parameters", {}).items()
        if isinstance(found, dict) and "Default" in found
    }
    given = {**defaults, **passed} if isinstance(passed, dict) else defaults
    values = values_of(template, given, "", clients.target)
    # The nested stack's name is made by CloudFormation: no text, so it stays a reference to itself.
    return resolve(template, {name: value for name, value in values.items() if name != "AWS::StackName"})
