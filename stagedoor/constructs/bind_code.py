"""Bind: give code what it needs to use a resource.

bind(function, table.read(), bucket)      # ours or aws-cdk-lib's, on either side
"""

from typing import Protocol

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from stagedoor.constructs.binding import Bindable, Binding, tell
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.grants import binding_of_cdk


class RunsCode(Protocol):
    """What a function of aws-cdk-lib has: a role that policies are added to, and an environment."""

    def add_environment(self, key: str, value: str) -> object:
        """Set a variable."""

    def add_to_role_policy(self, statement: iam.PolicyStatement) -> None:
        """Add to what it may do."""


def bind(target: object, *resources: object) -> None:
    """Bind code to resources. Both may be ours or aws-cdk-lib's.

    `target` runs the code: a `Function` of ours, or anything of aws-cdk-lib with `add_environment` and
    `add_to_role_policy`. Each of `resources` is ours, ours with an access (`table.read()`), or one of aws-cdk-lib's
    that `grants/` knows; those are named by their construct's id.

    Raises `ConstructError` for what cannot be bound, or is bound twice under one name.
    """
    runs = _runs_code(target)
    bound: dict[str, Construct] = getattr(target, "_stagedoor_bound", {})
    for resource in resources:
        binding = binding_of(resource)
        taken = bound.setdefault(binding.variable, binding.owner)
        if taken is not binding.owner:
            raise ConstructError(
                f"Two resources are bound as {binding.kind}.{binding.name}: {taken.node.path} and "
                f"{binding.owner.node.path}.",
                "Give one of them another id.",
                _path(target),
            )
        tell(binding)
        stack = Stack.of(binding.owner)
        runs.add_environment(binding.variable, stack.to_json_string(dict(binding.properties)))
        for statement in binding.statements:
            runs.add_to_role_policy(
                iam.PolicyStatement(actions=list(statement.actions), resources=list(statement.resources))
            )
    object.__setattr__(target, "_stagedoor_bound", bound)


def binding_of(resource: object) -> Binding:
    """Return what a resource gives, ours or aws-cdk-lib's."""
    if isinstance(resource, Binding):
        return resource
    if isinstance(resource, Bindable):
        return resource.binding
    return binding_of_cdk(resource)


def _runs_code(target: object) -> RunsCode:
    runs = getattr(target, "runs_code", target)
    if hasattr(runs, "add_environment") and hasattr(runs, "add_to_role_policy"):
        return runs
    raise ConstructError(
        f"{type(target).__name__} runs no code that could be bound to anything.",
        "Bind a Function, or a function of aws-cdk-lib.",
        _path(target),
    )


def _path(thing: object) -> str:
    return thing.node.path if isinstance(thing, Construct) else ""
