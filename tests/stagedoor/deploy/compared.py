"""Two templates of one stack, compared as a plan compares them."""

from pathlib import Path
from typing import Any

from stagedoor.assembly.model import Stack
from stagedoor.assembly.template import construct_paths_of
from stagedoor.deploy.comparison.differences import ResourceChange, difference
from stagedoor.deploy.comparison.resolution import Comparison, Resolved, parameters_of, resolve, values_of
from stagedoor.deploy.stacks import ActualStack
from stagedoor.target import Target

TARGET = Target("here", "111122223333", "us-east-1")


def resource(kind: str, /, *, path: str = "", attributes: dict[str, Any] | None = None, **properties: Any) -> Any:
    metadata = {"Metadata": {"aws:cdk:path": path}} if path else {}
    return {"Type": kind, "Properties": properties, **metadata, **(attributes or {})}


def of(parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a template: its parameters by name and default, and its sections or, in lower case, resources."""
    sections = {name: value for name, value in more.items() if name in ("Outputs", "Conditions", "Mappings")}
    declared = {name: {"Type": "String", "Default": value} for name, value in (parameters or {}).items()}
    resources = {name: value for name, value in more.items() if name not in sections}
    return {"Parameters": declared, "Resources": resources, **sections}


def compared(before: dict[str, Any], after: dict[str, Any], name: str = "shop") -> Comparison:
    """Compare, as if the stack were there with the defaults of its parameters."""
    stack = Stack(name, name, name, Path("none"), TARGET.account, TARGET.region)
    actual = ActualStack(name, f"arn:aws:cloudformation:us-east-1:111122223333:stack/{name}/1", "CREATE_COMPLETE")
    paths = {**construct_paths_of(before), **construct_paths_of(after)}
    return Comparison(stack, after, actual, resolved(before), resolved(after), paths)


def resolved(template: dict[str, Any]) -> Resolved:
    given = {key: value["Default"] for key, value in parameters_of(template).items() if "Default" in value}
    return resolve(template, values_of(template, given, "shop", TARGET))


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, ResourceChange]:
    """Return what happens to the resources, by their construct paths."""
    both = compared(before, after)
    return {one.construct_path: one for one in difference(both.before, both.after, both.paths).resources}
