"""Nested stacks as the account has them and as they are to be, from the templates in the assembly.

A nested stack's parameters are what its parent passes, before and after: values that only the account knows are
compared as they are written. One whose address and parameters stay does not change, as the address is that of the
template's hash.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from stagedoor.assembly.model import FileAsset, Stack, Template
from stagedoor.assembly.template import NESTED_STACK, construct_paths_of, resources
from stagedoor.assembly.template_tree import nested_asset
from stagedoor.deploy.access import judges_request, may_not_ask
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.comparison.resolution import Comparison, Resolved, resolve, values_of
from stagedoor.deploy.stacks import ActualStack, read_stack, read_template


def nested_comparisons(outer: Comparison, clients: Clients) -> Iterator[Comparison]:
    """Yield a comparison for each nested stack that changes, to any depth; one of which the assembly does not hold the
    template is left out. For one that is there, three calls are made.
    """
    for logical_id in {**outer.before.resources, **outer.after.resources}:
        before, after = _stack_in(outer.before, logical_id), _stack_in(outer.after, logical_id)
        if before == after:
            continue
        new = _template(outer.stack, after) if after is not None else {}
        if new is None:
            continue
        actual = _actual(outer, logical_id, clients) if before is not None else None
        old = dict(read_template(clients, actual.arn) or {}) if actual else {}
        place = f"{outer.inside}{logical_id}/"
        names = {name: f"{place}{name}" for template in (old, new) for name, _ in resources(template)}
        inside = Comparison(
            _as_stack(outer, logical_id, actual, after or {}),
            new,
            actual,
            _resolved(old, before or {}, clients),
            _resolved(new, after or {}, clients),
            {**names, **construct_paths_of(old), **construct_paths_of(new)},
            place,
        )
        yield inside
        yield from nested_comparisons(inside, clients)


def paths_inside(stack: Stack, template: Template) -> dict[str, str]:
    """Return the construct paths of the resources of nested stacks, by logical ids such as `Nested/Table`."""
    paths: dict[str, str] = {}
    for logical_id, resource in resources(template):
        inner = _template(stack, resource.get("Properties")) if resource["Type"] == NESTED_STACK else None
        if inner is not None:
            found = {**construct_paths_of(inner), **paths_inside(stack, inner)}
            paths |= {f"{logical_id}/{name}": path for name, path in found.items()}
    return paths


def _stack_in(template: Resolved, logical_id: str) -> Mapping[str, Any] | None:
    """Return the properties of a nested stack; None where there is none of that id."""
    resource = template.resources.get(logical_id, {})
    properties = resource.get("Properties", {})
    return properties if resource.get("Type") == NESTED_STACK and isinstance(properties, dict) else None


def _template(stack: Stack, properties: Any) -> Template | None:
    """Return the template that a nested stack is to have, from the assembly; None where that does not hold it."""
    files = [asset for asset in stack.assets if isinstance(asset, FileAsset)]
    asset = nested_asset({"Type": NESTED_STACK, "Properties": properties}, files)
    if asset is None:
        return None
    template: Template = json.loads(asset.source.read_text(encoding="utf-8"))
    return template


def _actual(outer: Comparison, logical_id: str, clients: Clients) -> ActualStack | None:
    if outer.actual is None:
        return None
    try:
        found = clients.cloudformation.describe_stack_resource(StackName=outer.actual.arn, LogicalResourceId=logical_id)
    except ClientError as error:
        if judges_request(error) or may_not_ask(error):  # it was never made, or nobody may say
            return None
        raise
    arn = found["StackResourceDetail"].get("PhysicalResourceId", "")
    return read_stack(clients, arn) if arn else None


def _as_stack(outer: Comparison, logical_id: str, actual: ActualStack | None, passed: Mapping[str, Any]) -> Stack:
    """Return the nested stack as if it were one of the assembly's: with the assets and without the parent's tags."""
    given = passed.get("Parameters", {})
    plain = {name: value for name, value in given.items() if isinstance(value, str)} if isinstance(given, dict) else {}
    name = actual.name if actual else f"{outer.stack.name}/{logical_id}"
    return replace(outer.stack, name=name, parameters=plain, tags={})


def _resolved(template: Template, properties: Mapping[str, Any], clients: Clients) -> Resolved:
    passed = properties.get("Parameters", {})
    defaults = {
        name: found["Default"]
        for name, found in template.get("Parameters", {}).items()
        if isinstance(found, dict) and "Default" in found
    }
    given = {**defaults, **passed} if isinstance(passed, dict) else defaults
    values = values_of(template, given, "", clients.target)
    # The nested stack's name is made by CloudFormation: no text, so it stays a reference to itself.
    return resolve(template, {name: value for name, value in values.items() if name != "AWS::StackName"})
