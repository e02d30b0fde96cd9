"""A CloudFormation template as something to walk over.

Source of its anatomy: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
"""

from collections.abc import Callable, Iterator
from typing import Any

from stagedoor.assembly.model import Template

NESTED_STACK = "AWS::CloudFormation::Stack"


def section(template: Template, name: str) -> dict[str, Any]:
    """Return a section of the template (`Resources`, `Outputs`, …); empty where it is absent or no object."""
    found = template.get(name)
    return found if isinstance(found, dict) else {}


def resources(template: Template) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield logical id and definition of each resource that has a type; `Fn::ForEach` and other shapes are left out."""
    for logical_id, resource in section(template, "Resources").items():
        if isinstance(resource, dict) and isinstance(resource.get("Type"), str):
            yield logical_id, resource


def properties_of(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a resource's properties; empty where there are none."""
    found = resource.get("Properties")
    return found if isinstance(found, dict) else {}


def construct_paths_of(template: Template) -> dict[str, str]:
    """Return construct paths by logical id, from the `aws:cdk:path` in the resources' metadata."""
    paths = {}
    for logical_id, resource in resources(template):
        metadata = resource.get("Metadata")
        path = metadata.get("aws:cdk:path") if isinstance(metadata, dict) else None
        if isinstance(path, str):
            paths[logical_id] = path
    return paths


def with_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy of `value` in which each string, keys included, went through `change`."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [with_strings(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): with_strings(item, change) for key, item in value.items()}
    return value
