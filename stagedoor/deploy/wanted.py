"""What CloudFormation is to be told of each stack, and what its parameters will be."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stagedoor.assembly.model import Assembly, Stack, Template
from stagedoor.deploy.comparison.differences import ValueChange
from stagedoor.deploy.comparison.resolution import HIDDEN, Resolved, is_hidden, parameters_of, resolve, values_of
from stagedoor.deploy.stacks import ActualStack
from stagedoor.errors import UserError
from stagedoor.naming import StageIdentity
from stagedoor.target import Target

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import ParameterTypeDef

_BOOTSTRAP_PARAMETER = "BootstrapVersion"
"""The parameter by which CDK's templates check the bootstrap's version; no resource depends on its value."""

_REGION = re.compile(r"^[a-z]{2,}(-[a-z]+)+-\d+$")
"""A region's name; CDK writes `unknown-region` where the app leaves it open."""


class StackElsewhere(UserError):
    """The app wants a stack in a region that the target does not cover."""

    id = "stack-elsewhere"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One stack as it should be, with everything that CloudFormation is told. `ordinal` as in `KnownStack`.

    `keeps_parameters`: a parameter that the assembly does not give keeps the value that the stack has, default or not.
    """

    stack: Stack
    template: Template
    tags: Mapping[str, str]
    ordinal: int
    keeps_parameters: bool = False

    @property
    def name(self) -> str:
        """The name that the stack is deployed under."""
        return self.stack.name


def wanted_stacks(assembly: Assembly, identity: StageIdentity) -> list[Wanted]:
    """Return what CloudFormation is to be told of each stack of the assembly, in the assembly's order."""
    depths = _depths(assembly)
    return [
        Wanted(
            stack=stack,
            template=json.loads(stack.template_path.read_text(encoding="utf-8")),
            tags={**stack.tags, **identity.tags()},
            ordinal=depths[stack.id],
            keeps_parameters=identity.adopted,
        )
        for stack in assembly.stacks
    ]


def check_region(stack: Stack, target: Target) -> None:
    """Raise `StackElsewhere` when the app puts the stack into another region than the target's."""
    if _REGION.match(stack.region) and stack.region != target.region:
        raise StackElsewhere(
            f"The stack {stack.own_name} belongs in {stack.region}; the target {target.name!r} is in {target.region}.",
            "Leave the stack's region open, or deploy the app to a target in that region.",
        )


def parameters_for(wanted: Wanted, actual: ActualStack | None) -> "list[ParameterTypeDef]":
    """Return the parameters as CloudFormation takes them.

    What the assembly gives is passed; for the rest the template's default holds, so that equal assemblies make equal
    stacks. Only a parameter that has neither keeps its previous value. In an adopted stack each does, as with
    `cdk deploy`: whoever deployed it before may have given it on the command line.
    """
    passed: list[ParameterTypeDef] = []
    for key, definition in parameters_of(wanted.template).items():
        if key in wanted.stack.parameters:
            passed.append({"ParameterKey": key, "ParameterValue": wanted.stack.parameters[key]})
        elif actual is not None and key in actual.parameters and _keeps(wanted, key, definition):
            passed.append({"ParameterKey": key, "UsePreviousValue": True})
    return passed


def parameter_may_differ(key: str, definition: Mapping[str, Any], wanted: Wanted, actual: ActualStack) -> bool:
    """Whether a parameter changes, or its value is one that only CloudFormation knows."""
    if key == _BOOTSTRAP_PARAMETER:
        return False
    now = actual.parameters.get(key)
    kept = key not in wanted.stack.parameters and _keeps(wanted, key, definition)
    if kept and now is None:
        return True
    # A parameter of the parameter store keeps its name while the value behind it changes.
    if str(definition.get("Type", "")).startswith("AWS::SSM::Parameter"):
        return True
    if kept:
        return False
    if now == HIDDEN:
        return True
    return now != str(wanted.stack.parameters.get(key, definition.get("Default")))


def worked_out(wanted: Wanted, actual: ActualStack | None, target: Target) -> Resolved:
    """Return a stack's template worked out with the parameters that it will have."""
    return resolve(wanted.template, values_of(wanted.template, _given(wanted, actual), wanted.name, target))


def parameter_changes(wanted: Wanted, actual: ActualStack | None, old: Template) -> Iterator[ValueChange]:
    """Yield the parameters that change, and those of which only CloudFormation knows whether they do."""
    definitions, given = parameters_of(wanted.template), _given(wanted, actual)
    now = actual.parameters if actual else {}
    for key in [*definitions, *(gone for gone in parameters_of(old) if gone not in definitions)]:
        if key == _BOOTSTRAP_PARAMETER:
            continue
        hidden = is_hidden(definitions.get(key, parameters_of(old).get(key)))
        before, after = now.get(key), str(given[key]) if key in given else None
        if hidden:
            before, after = before and HIDDEN, after and HIDDEN
        may = actual is not None and key in definitions and parameter_may_differ(key, definitions[key], wanted, actual)
        if before != after or (may and key in now):
            yield ValueChange(key, before, after, cause="" if before != after else "its value may have changed")


def _given(wanted: Wanted, actual: ActualStack | None) -> dict[str, Any]:
    """Return the values that the parameters will have, as `parameters_for` passes them."""
    given: dict[str, Any] = {}
    for key, definition in parameters_of(wanted.template).items():
        if key in wanted.stack.parameters:
            given[key] = wanted.stack.parameters[key]
        elif actual is not None and key in actual.parameters and _keeps(wanted, key, definition):
            given[key] = actual.parameters[key]
        elif "Default" in definition:
            given[key] = definition["Default"]
    return given


def _keeps(wanted: Wanted, key: str, definition: Mapping[str, Any]) -> bool:
    """Whether a parameter that the assembly does not give keeps the value that the stack has."""
    return "Default" not in definition or (wanted.keeps_parameters and key != _BOOTSTRAP_PARAMETER)


def _depths(assembly: Assembly) -> dict[str, int]:
    depths: dict[str, int] = {}
    for stack in assembly.stacks:
        depths[stack.id] = 1 + max((depths.get(dependency, -1) for dependency in stack.dependencies), default=-1)
    return depths
