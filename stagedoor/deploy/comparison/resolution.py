"""A template with everything worked out that is known before a deploy: parameters, conditions, mappings, functions.

Two templates are compared in this form, so that a parameter's new value shows at the properties that it reaches, and a
different way to write the same value is no change. What only a deploy can tell (another resource's attributes) stays as
a function, in one spelling. Source of the functions' meaning:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stagedoor.assembly.model import Stack, Template
from stagedoor.assembly.target_names import url_suffix
from stagedoor.assembly.template import resources, section
from stagedoor.deploy.stacks import ActualStack
from stagedoor.target import Target

HIDDEN = "****"
"""What CloudFormation answers for the value of a `NoEcho` parameter, and what we show in its place."""

NO_VALUE = {"Ref": "AWS::NoValue"}
_VARIABLE = re.compile(r"\$\{(!?)([^${}]+)\}")


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a template comes to. What has a false condition is not there; `conditions` are None where unknown."""

    resources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    outputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    conditions: Mapping[str, bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One stack as the account has it and as it is to be, both worked out.

    `actual` is None, and `before` empty, where it is to be made. `paths` are construct paths by logical id. Of a nested
    stack, `inside` is what comes before its logical ids (`Nested/`).
    """

    stack: Stack
    template: Template
    actual: ActualStack | None
    before: Resolved
    after: Resolved
    paths: Mapping[str, str]
    inside: str = ""

    def path(self, logical_id: str) -> str:
        """Return the construct path of a resource; its logical id where the assembly tells none."""
        return self.paths.get(logical_id) or logical_id


def resolve(template: Template, values: Mapping[str, Any]) -> Resolved:
    """Work the template out. `values` are those of parameters and pseudo parameters; what is not in them stays."""
    resolver = _Resolver(template, values)
    conditions = {name: resolver.condition(name) for name in section(template, "Conditions")}
    present = {
        logical_id: {key: resolver.value(value) for key, value in resource.items()}
        for logical_id, resource in resources(template)
        if _present(resource, conditions)
    }
    outputs = {
        name: {key: resolver.value(value) for key, value in output.items()}
        for name, output in section(template, "Outputs").items()
        if isinstance(output, dict) and _present(output, conditions)
    }
    return Resolved(present, outputs, conditions)


def parameters_of(template: Template) -> dict[str, dict[str, Any]]:
    """Return the definitions of the template's parameters."""
    return {name: found for name, found in section(template, "Parameters").items() if isinstance(found, dict)}


def is_hidden(definition: Any) -> bool:
    """Whether a parameter's value is not to be shown."""
    return isinstance(definition, Mapping) and str(definition.get("NoEcho", "")).lower() == "true"


def values_of(template: Template, given: Mapping[str, Any], stack_name: str, target: Target) -> dict[str, Any]:
    """Return what the parameters of a template, and the pseudo parameters, stand for.

    `given` are the parameters' values, or functions that stand for them. What only the account can tell is not in the
    result, and hidden values are `HIDDEN`.
    """
    values: dict[str, Any] = {
        "AWS::AccountId": target.account,
        "AWS::Region": target.region,
        "AWS::Partition": target.partition,
        "AWS::URLSuffix": url_suffix(target),
        "AWS::StackName": stack_name,
    }
    for name, definition in parameters_of(template).items():
        kind = str(definition.get("Type", ""))
        if is_hidden(definition):
            values[name] = HIDDEN
        # Such a parameter's value is the name of what holds the value, which only the account knows.
        elif name in given and not kind.startswith("AWS::SSM::Parameter::Value"):
            several = kind == "CommaDelimitedList" or kind.startswith("List<")
            # What a stack passes on to one nested in it may be a function or a list.
            plain = isinstance(given[name], str | int | float)
            text = _scalar(given[name]) if plain else given[name]
            values[name] = text.split(",") if several and plain else text
    return values


class _Resolver:
    def __init__(self, template: Template, values: Mapping[str, Any]) -> None:
        self._conditions = section(template, "Conditions")
        self._mappings = section(template, "Mappings")
        self._values = values
        self._known: dict[str, bool | None] = {}
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": _get_att,
            "Fn::Join": self._join,
            "Fn::Sub": self._sub,
            "Fn::If": self._if,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::FindInMap": self._find_in_map,
        }

    def value(self, expression: Any) -> Any:
        """Return what an expression comes to; parts that come to nothing (`AWS::NoValue`) are left out."""
        if isinstance(expression, list):
            items = [self.value(item) for item in expression]
            return [item for item in items if item != NO_VALUE]
        if not isinstance(expression, dict):
            return expression
        if len(expression) == 1:
            ((name, argument),) = expression.items()
            if name in self._functions:
                return self._functions[name](argument)
        found = {key: self.value(item) for key, item in expression.items()}
        return {key: item for key, item in found.items() if item != NO_VALUE}

    def condition(self, name: str) -> bool | None:
        """Return whether a condition holds; None where that is not known, or the conditions run in a circle."""
        if name not in self._known:
            self._known[name] = None
            self._known[name] = self._holds(self._conditions.get(name))
        return self._known[name]

    def _holds(self, expression: Any) -> bool | None:
        match expression:
            case {"Condition": str(name)}:
                return self.condition(name)
            case {"Fn::Equals": [left, right]}:
                return _equal(self.value(left), self.value(right))
            case {"Fn::Not": [one]}:
                held = self._holds(one)
                return None if held is None else not held
            case {"Fn::And": list(several)}:
                return _all([self._holds(one) for one in several])
            case {"Fn::Or": list(several)}:
                none = _all([None if (held := self._holds(one)) is None else not held for one in several])
                return None if none is None else not none
        return None

    def _ref(self, name: Any) -> Any:
        return self._values[name] if isinstance(name, str) and name in self._values else {"Ref": name}

    def _join(self, argument: Any) -> Any:
        match argument:
            case [str(delimiter), parts]:
                return _joined(delimiter, self.value(parts))
        return {"Fn::Join": self.value(argument)}

    def _sub(self, argument: Any) -> Any:
        """Return the text; where not all of it is known, the same as the `Fn::Join` that says as much."""
        match argument:
            case str(text):
                variables: dict[str, Any] = {}
            case [str(text), dict(variables)]:
                pass
            case _:
                return {"Fn::Sub": argument}
        parts: list[Any] = []
        position = 0
        for found in _VARIABLE.finditer(text):
            parts.append(text[position : found.start()])
            literal, name = found.groups()
            parts.append(f"${{{name}}}" if literal else self._variable(name.strip(), variables))
            position = found.end()
        return _joined("", [*parts, text[position:]])

    def _variable(self, name: str, variables: Mapping[str, Any]) -> Any:
        if name in variables:
            return self.value(variables[name])
        return _get_att(name) if "." in name else self._ref(name)

    def _if(self, argument: Any) -> Any:
        match argument:
            case [str(name), yes, no]:
                holds = self.condition(name)
                if holds is not None:
                    return self.value(yes if holds else no)
                # Not through `value`: a branch that comes to nothing stays, as it is not known to be taken.
                return {"Fn::If": [name, self.value(yes), self.value(no)]}
        return {"Fn::If": argument}

    def _select(self, argument: Any) -> Any:
        match self.value(argument):
            case [int() | str() as index, list(items)] if str(index).isdigit() and int(index) < len(items):
                return items[int(index)]
            case resolved:
                return {"Fn::Select": resolved}

    def _split(self, argument: Any) -> Any:
        match self.value(argument):
            case [str(delimiter), str(text)] if delimiter:
                return text.split(delimiter)
            case resolved:
                return {"Fn::Split": resolved}

    def _find_in_map(self, argument: Any) -> Any:
        match self.value(argument):
            case [str(name), first, second, *_] if isinstance(first, str | int) and isinstance(second, str | int):
                row = _member(_member(self._mappings, name), str(first))
                if isinstance(row, dict) and str(second) in row:
                    return row[str(second)]
                return {"Fn::FindInMap": [name, first, second]}
            case resolved:
                return {"Fn::FindInMap": resolved}


def _present(part: Mapping[str, Any], conditions: Mapping[str, bool | None]) -> bool:
    name = part.get("Condition")
    return not (isinstance(name, str) and conditions.get(name) is False)


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _get_att(argument: Any) -> Any:
    return {"Fn::GetAtt": argument.split(".", 1) if isinstance(argument, str) else argument}


def _joined(delimiter: str, parts: Any) -> Any:
    """Return the text of a join; where a part is not known, the join with its known neighbours put together."""
    if not isinstance(parts, list):
        return {"Fn::Join": [delimiter, parts]}
    merged: list[Any] = []
    for part in _flat(parts) if delimiter == "" else parts:
        text = isinstance(part, str | int | float)
        if text and merged and isinstance(merged[-1], str):
            merged[-1] += delimiter + _scalar(part)
        elif part != "" or delimiter:
            merged.append(_scalar(part) if text else part)
    if not merged:
        return ""
    return merged[0] if len(merged) == 1 and isinstance(merged[0], str) else {"Fn::Join": [delimiter, merged]}


def _flat(parts: list[Any]) -> list[Any]:
    """Return the parts with joins among them, which join by nothing, too, taken apart."""
    flat: list[Any] = []
    for part in parts:
        match part:
            case {"Fn::Join": ["", list(inner)]}:
                flat += inner
            case _:
                flat.append(part)
    return flat


def _scalar(value: Any) -> str:
    """Return a scalar as CloudFormation writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _equal(left: Any, right: Any) -> bool | None:
    if isinstance(left, dict) or isinstance(right, dict) or HIDDEN in (left, right):
        return True if left == right and left != HIDDEN else None
    return _scalar(left) == _scalar(right)


def _all(held: list[bool | None]) -> bool | None:
    if False in held:
        return False
    return None if None in held else True
