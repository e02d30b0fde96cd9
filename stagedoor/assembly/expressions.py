"""What an expression of a template stands for, as far as that can be known before anything is deployed.

Source of the functions' meaning:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from stagedoor.assembly.model import Template
from stagedoor.assembly.target_names import url_suffix
from stagedoor.assembly.template import section
from stagedoor.target import Target

_VARIABLE = re.compile(r"\$\{(!?)([^${}]+)\}")


TEXT_LENGTH = 4_096
"""No longer text is put together: no name is as long, and no parameter of CloudFormation's may be longer."""


class Unresolved(Enum):
    """Why an expression has no text that is known beforehand."""

    OWN = "differs from stage to stage: it holds the stack's name or what AWS calls one of the stage's resources"
    ABSENT = "the property is left out (AWS::NoValue)"
    UNKNOWN = "cannot be told; it may be the same in every stage"


Value = str | Unresolved


@dataclass(frozen=True, slots=True)
class Scope:
    """What the names in one template stand for.

    `stack_name` is `Unresolved.OWN` where it is taken to differ from stage to stage. `parameters` are those that
    the template is deployed with; others have their defaults. `exported` are the names of the app's own exports.
    `known` is what the account says of resources that are there already: by `Table` what a `Ref` to it stands for, by
    `Table.Arn` its attribute. `mappings` are the template's, `conditions` those of it that are known to hold or not to.
    """

    target: Target
    stack_name: Value = Unresolved.OWN
    parameters: Mapping[str, Value] = field(default_factory=dict)
    resources: frozenset[str] = frozenset()
    exported: frozenset[str] = frozenset()
    known: Mapping[str, str] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, bool] = field(default_factory=dict)


def scope_of(
    template: Template, target: Target, stack_name: Value, given: Mapping[str, Value], exported: frozenset[str]
) -> Scope:
    """Return the scope of a template that is deployed as `stack_name` with the parameters `given`."""
    parameters: dict[str, Value] = {}
    for name, parameter in section(template, "Parameters").items():
        declared = parameter if isinstance(parameter, dict) else {}
        default = declared.get("Default")
        # A parameter of such a type holds the name of an SSM parameter; its value is known in the account alone.
        if str(declared.get("Type", "")).startswith("AWS::SSM::Parameter::"):
            parameters[name] = Unresolved.UNKNOWN
        elif name in given:
            parameters[name] = given[name]
        else:
            parameters[name] = str(default) if isinstance(default, str | int | float) else Unresolved.UNKNOWN
    resources, mappings = frozenset(section(template, "Resources")), section(template, "Mappings")
    return Scope(target, stack_name, parameters, resources, exported, mappings=mappings)


def evaluate(expression: Any, scope: Scope) -> Value:
    """Return the text of an expression, or why there is none."""
    if isinstance(expression, str):
        return expression
    if isinstance(expression, bool | int | float):
        return str(expression)
    if isinstance(expression, list):
        return _mixed([evaluate(item, scope) for item in expression])
    if not isinstance(expression, dict):
        return Unresolved.UNKNOWN
    if len(expression) == 1:
        ((function, argument),) = expression.items()
        if function in _FUNCTIONS:
            return _FUNCTIONS[function](argument, scope)
    return _mixed([evaluate(item, scope) for item in expression.values()])


def _mixed(values: list[Value]) -> Value:
    """Return what a value made of others is, where its text cannot be told."""
    return Unresolved.OWN if Unresolved.OWN in values else Unresolved.UNKNOWN


def _joined(values: list[Value], delimiter: str = "") -> Value:
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values):
        return _mixed(values)
    length = sum(map(len, texts)) + len(delimiter) * max(len(texts) - 1, 0)
    # Nested stacks that pass on `${P}${P}` double it each time.
    return delimiter.join(texts) if length <= TEXT_LENGTH else Unresolved.UNKNOWN


def _ref(argument: Any, scope: Scope) -> Value:
    if not isinstance(argument, str):
        return Unresolved.UNKNOWN
    pseudo: dict[str, Value] = {
        "AWS::AccountId": scope.target.account,
        "AWS::Region": scope.target.region,
        "AWS::Partition": scope.target.partition,
        "AWS::URLSuffix": url_suffix(scope.target),
        "AWS::StackName": scope.stack_name,
        "AWS::StackId": Unresolved.OWN,
        "AWS::NoValue": Unresolved.ABSENT,
    }
    if argument in pseudo:
        return pseudo[argument]
    if argument in scope.parameters:
        return scope.parameters[argument]
    if argument in scope.known:
        return scope.known[argument]
    return Unresolved.OWN if argument in scope.resources else Unresolved.UNKNOWN


def _get_att(argument: Any, scope: Scope) -> Value:
    parts = argument.split(".", 1) if isinstance(argument, str) else argument
    if isinstance(parts, list) and all(isinstance(part, str) for part in parts) and ".".join(parts) in scope.known:
        return scope.known[".".join(parts)]
    is_own = isinstance(parts, list) and parts and isinstance(parts[0], str) and parts[0] in scope.resources
    return Unresolved.OWN if is_own else Unresolved.UNKNOWN


def _join(argument: Any, scope: Scope) -> Value:
    match argument:
        case [str(delimiter), list(parts)]:
            return _joined([evaluate(part, scope) for part in parts], delimiter)
    return Unresolved.UNKNOWN


def _sub(argument: Any, scope: Scope) -> Value:
    match argument:
        case str(text):
            variables: dict[str, Any] = {}
        case [str(text), dict(variables)]:
            pass
        case _:
            return Unresolved.UNKNOWN
    values: list[Value] = []
    position = 0
    for found in _VARIABLE.finditer(text):
        values.append(text[position : found.start()])
        values.append(_variable(found, variables, scope))
        position = found.end()
    return _joined([*values, text[position:]])


def _variable(found: re.Match[str], variables: Mapping[str, Any], scope: Scope) -> Value:
    literal, name = found.groups()
    if literal:
        return f"${{{name}}}"
    if name in variables:
        return evaluate(variables[name], scope)
    return _get_att(name, scope) if "." in name else _ref(name, scope)


def _if(argument: Any, scope: Scope) -> Value:
    """Where the condition is not known either branch may come true, so the worse of the two is what can be said."""
    if not isinstance(argument, list) or len(argument) != 3:
        return Unresolved.UNKNOWN
    if isinstance(argument[0], str) and argument[0] in scope.conditions:
        return evaluate(argument[1] if scope.conditions[argument[0]] else argument[2], scope)
    present = [value for value in (evaluate(item, scope) for item in argument[1:]) if value is not Unresolved.ABSENT]
    if not present:
        return Unresolved.ABSENT
    return present[0] if all(value == present[0] for value in present) else Unresolved.UNKNOWN


def _import_value(argument: Any, scope: Scope) -> Value:
    name = evaluate(argument, scope)
    return Unresolved.OWN if name is Unresolved.OWN or name in scope.exported else Unresolved.UNKNOWN


def _find_in_map(argument: Any, scope: Scope) -> Value:
    if not isinstance(argument, list) or len(argument) < 3:
        return Unresolved.UNKNOWN
    found: Any = scope.mappings
    for key in argument[:3]:
        name = evaluate(key, scope)
        found = found.get(name) if isinstance(found, Mapping) and isinstance(name, str) else None
    return found if isinstance(found, str) else Unresolved.UNKNOWN


def _select(argument: Any, scope: Scope) -> Value:
    match argument:
        case [int() | str() as index, {"Fn::Split": [str(delimiter), source]}]:
            text = evaluate(source, scope)
            items: list[Any] = text.split(delimiter) if isinstance(text, str) and delimiter else []
        case [int() | str() as index, list(items)]:
            pass
        case _:
            index, items = "", []
    if str(index).isascii() and str(index).isdigit() and len(str(index)) < 6 and int(index) < len(items):
        return evaluate(items[int(index)], scope)
    return evaluate(list(argument.values()) if isinstance(argument, dict) else [argument], scope)


_FUNCTIONS = {
    "Ref": _ref,
    "Fn::GetAtt": _get_att,
    "Fn::Join": _join,
    "Fn::Sub": _sub,
    "Fn::If": _if,
    "Fn::ImportValue": _import_value,
    "Fn::FindInMap": _find_in_map,
    "Fn::Select": _select,
}
"""What is not among them (`Fn::Split`, `Fn::Base64`, …) is the stage's own when something in it is."""
