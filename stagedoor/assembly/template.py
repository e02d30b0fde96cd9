"""A CloudFormation template as something to walk over.

Source of its anatomy: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
"""

from collections.abc import Callable, Iterator
from typing import Any

from stagedoor.assembly.model import Template

NESTED_STACK = "AWS::CloudFormation::Stack"
NESTED = {NESTED_STACK: "TemplateURL", "AWS::Serverless::Application": "Location"}
"""The types that nest a template, and the property that holds its address."""


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


def strings_in(value: Any) -> Iterator[str]:
    """Yield each string in `value`, in order, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings_in(item)


def with_functions(value: Any, name: str, change: Callable[[Any], Any]) -> Any:
    """Return a copy of `value` in which the argument of each `name` (`Fn::ImportValue`) went through `change`."""
    if isinstance(value, list):
        return [with_functions(item, name, change) for item in value]
    if isinstance(value, dict):
        if len(value) == 1 and name in value:
            return {name: change(value[name])}
        return {key: with_functions(item, name, change) for key, item in value.items()}
    return value


def with_resources(template: Template, change: Callable[[str, dict[str, Any]], dict[str, Any]]) -> Template:
    """Return a copy of the template in which each resource went through `change`, given its logical id too."""
    changed = {logical_id: change(logical_id, resource) for logical_id, resource in resources(template)}
    return {**template, "Resources": {**section(template, "Resources"), **changed}} if changed else template
