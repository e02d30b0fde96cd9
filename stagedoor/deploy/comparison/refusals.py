"""What CloudFormation would refuse of a template, found before anything is changed: in a second, not after a rollback.

All of it follows from the templates alone. What hangs on the account is in `account_checks.py`; a template's own limits
are held when an assembly is inspected; what only a service's own rules tell is found by the validation that runs beside
the deploy. Templates with macros are not looked into for references and properties: a macro may add what is missing.
Source of the rules: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/troubleshooting.html, and the
reference of each function.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stagedoor.assembly.model import Template
from stagedoor.assembly.template import resources, section
from stagedoor.deploy.comparison.differences import references
from stagedoor.deploy.comparison.resolution import Comparison, Resolved
from stagedoor.deploy.comparison.resource_types.reading import Members, resource_type
from stagedoor.errors import UserError

_VARIABLE = re.compile(r"\$\{([^!${}][^${}]*)\}")
_TAGS = 50
_PARAMETER_BYTES = 4096
_FREE_ATTRIBUTES = ("AWS::CloudFormation::", "Custom::", "AWS::ServiceCatalog::")
"""Types whose attributes are what somebody's code or template returns."""


class UnresolvedReference(UserError):
    """A template refers to a resource, parameter, condition or mapping that is not in it."""

    id = "unresolved-reference"


class CircularDependency(UserError):
    """Resources of a stack wait for each other."""

    id = "circular-dependency"


class ResourceTypeChanged(UserError):
    """A resource has become one of another type under the same logical id."""

    id = "resource-type-changed"


class DuplicateExport(UserError):
    """Two outputs are exported under one name."""

    id = "duplicate-export"


class UnknownProperty(UserError):
    """A resource is given a property, or asked for an attribute, that its type does not have."""

    id = "unknown-property"


class MissingProperty(UserError):
    """A resource lacks a property that its type demands."""

    id = "missing-property"


class OverLimit(UserError):
    """A stack is given more than CloudFormation takes."""

    id = "over-limit"


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Something that AWS refuses, unless the resource type has changed since our table was made."""

    type: str
    name: str
    error: UserError

    def stands(self, schema: Mapping[str, Any]) -> bool:
        """Whether the type's schema in CloudFormation's registry bears it out. Where in the schema a name stands is not
        looked at: a name that is somewhere in it is given the benefit of the doubt.
        """
        if isinstance(self.error, MissingProperty):
            return any(self.name in names for names in _required(schema))
        return f'"{self.name}"' not in json.dumps(schema)


def template_refusals(comparison: Comparison) -> Iterator[UserError]:
    """Yield what CloudFormation refuses of one stack, whatever is in the account."""
    if not has_macros(comparison.template):
        yield from _unresolved(comparison)
        yield from _left_out(comparison)
        yield from _circle(comparison)
    yield from _changed_types(comparison)
    yield from _over_limits(comparison)


def export_refusals(comparisons: Iterable[Comparison]) -> Iterator[UserError]:
    """Yield an error for each name under which the app exports twice. Names that a deploy makes up are not known."""
    found: dict[str, str] = {}
    for comparison in comparisons:
        for name in exports(comparison.after):
            if name in found:
                yield DuplicateExport(
                    f"The stacks {found[name]} and {comparison.stack.name} both export {name!r}."
                    if found[name] != comparison.stack.name
                    else f"The stack {comparison.stack.name} exports {name!r} twice.",
                    "Give one of the outputs another export name.",
                )
            found[name] = comparison.stack.name


def suspicions(comparison: Comparison) -> Iterator[Suspicion]:
    """Yield properties and attributes that the resource types do not have, and required ones that are not there."""
    if has_macros(comparison.template):
        return
    for logical_id, resource in comparison.after.resources.items():
        known = resource_type(resource["Type"])
        if known is not None:
            where = f"{comparison.path(logical_id)} ({known.name})"
            yield from _suspect_members(resource.get("Properties", {}), known.members, known.name, where, "")
    yield from _suspect_attributes(comparison)


def exports(resolved: Resolved) -> list[str]:
    """Return the names that a template exports, one for each output, as far as they are known."""
    found = (output.get("Export") for output in resolved.outputs.values())
    names = (export.get("Name") for export in found if isinstance(export, Mapping))
    return [name for name in names if isinstance(name, str)]


def knows_exports(resolved: Resolved) -> bool:
    """Whether `exports` are all that the template exports: none of its names is made up by the deploy."""
    return len(exports(resolved)) == sum("Export" in output for output in resolved.outputs.values())


def imports(resolved: Resolved) -> frozenset[str]:
    """Return the names that a template imports, as far as they are known."""
    return frozenset(_imported([*resolved.resources.values(), *resolved.outputs.values()]))


def _imported(value: Any) -> Iterator[str]:
    match value:
        case {"Fn::ImportValue": str(name)}:
            yield name
        case dict():
            yield from (found for item in value.values() for found in _imported(item))
        case list():
            yield from (found for item in value for found in _imported(item))


def _required(schema: Any) -> Iterator[list[str]]:
    if isinstance(schema, dict):
        if isinstance(schema.get("required"), list):
            yield schema["required"]
        yield from (found for item in schema.values() for found in _required(item))


def printable(text: str) -> str:
    """Return a text in which names of an app's own choice can neither move a cursor nor begin a line."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def has_macros(template: Template) -> bool:
    """Whether CloudFormation makes another template of this one before it reads it."""
    if "Transform" in template:
        return True
    text = json.dumps(template)
    return '"Fn::Transform"' in text or '"Fn::ForEach::' in text


def _unresolved(comparison: Comparison) -> Iterator[UserError]:
    template = comparison.template
    names = _Names(
        frozenset(section(template, "Parameters")) | frozenset(section(template, "Resources")),
        frozenset(section(template, "Resources")),
        frozenset(section(template, "Conditions")),
        frozenset(section(template, "Mappings")),
    )
    for logical_id, resource in resources(template):
        used = {key: value for key, value in resource.items() if key not in ("Metadata", "Type")}
        for missing in dict.fromkeys([*names.missing(used), *names.missing_around(resource)]):
            yield _unresolved_error(comparison.path(logical_id), missing)
    for name, output in section(template, "Outputs").items():
        around = names.missing_around(output) if isinstance(output, dict) else ()
        for missing in dict.fromkeys([*names.missing(output), *around]):
            yield _unresolved_error(f"the output {comparison.inside}{name}", missing)
    for name, condition in section(template, "Conditions").items():
        for missing in dict.fromkeys(names.missing(condition)):
            yield _unresolved_error(f"the condition {comparison.inside}{name}", missing)


def _left_out(comparison: Comparison) -> Iterator[UserError]:
    """Yield an error for each reference to a resource that is left out, as its condition is false. What stands in an
    `Fn::If` that cannot be told is let pass.
    """
    declared, present = section(comparison.template, "Resources"), comparison.after.resources
    parts = [(comparison.path(name), resource.get("Properties")) for name, resource in present.items()]
    parts += [
        (f"the output {comparison.inside}{name}", output.get("Value"))
        for name, output in comparison.after.outputs.items()
    ]
    for where, value in parts:
        gone = {name for name, _ in references(value) if name in declared and name not in present}
        if gone and '"Fn::If"' not in json.dumps(value):
            for name in sorted(gone):
                yield UnresolvedReference(
                    f"{where[0].upper()}{where[1:]} refers to {comparison.path(name)}, whose condition is false.",
                    "Give both the same condition, or choose with `Fn::If`.",
                )


def _unresolved_error(where: str, missing: str) -> UserError:
    return UnresolvedReference(
        f"{where[0].upper()}{where[1:]} refers to {missing}, which is not in the template.",
        "Correct the name, or add what is meant; an escape hatch or an included template is where such a name stands.",
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """What a template declares, by what can refer to it."""

    values: frozenset[str]
    resources: frozenset[str]
    conditions: frozenset[str]
    mappings: frozenset[str]

    def missing(self, value: Any) -> Iterator[str]:
        """Yield what functions in a value refer to in vain."""
        match value:
            case {"Ref": str(name)} if len(value) == 1:
                yield from self._absent(name, self.values)
            case {"Fn::GetAtt": str() | [str(), *_] as argument}:
                name = argument.split(".")[0] if isinstance(argument, str) else argument[0]
                yield from self._absent(name, self.resources)
            case {"Fn::Sub": str(text)}:
                yield from self._missing_variables(text, {})
            case {"Fn::Sub": [str(text), dict(variables)]}:
                yield from self._missing_variables(text, variables)
                yield from self.missing(list(variables.values()))
            case {"Fn::If": [str(name), *branches]}:
                yield from self._absent(name, self.conditions, "the condition ")
                yield from self.missing(branches)
            case {"Fn::FindInMap": [str(name), *keys]}:
                yield from self._absent(name, self.mappings, "the mapping ")
                yield from self.missing(keys)
            case {"Condition": str(name)} if len(value) == 1:
                yield from self._absent(name, self.conditions, "the condition ")
            case dict():
                yield from (found for item in value.values() for found in self.missing(item))
            case list():
                yield from (found for item in value for found in self.missing(item))

    def missing_around(self, part: Mapping[str, Any]) -> Iterator[str]:
        """Yield what a resource or an output names outside of its values: its condition, and what it waits for."""
        if isinstance(part.get("Condition"), str):
            yield from self._absent(part["Condition"], self.conditions, "the condition ")
        for name in _awaited(part):
            yield from self._absent(name, self.resources)

    def _missing_variables(self, text: str, variables: Mapping[str, Any]) -> Iterator[str]:
        for name in (found.strip() for found in _VARIABLE.findall(text)):
            if name not in variables:
                head, dot, _ = name.partition(".")
                yield from self._absent(head, self.resources if dot else self.values)

    @staticmethod
    def _absent(name: str, declared: frozenset[str], kind: str = "") -> Iterator[str]:
        if name not in declared and not name.startswith("AWS::"):
            yield f"{kind}{name}"


def _circle(comparison: Comparison) -> Iterator[UserError]:
    """Yield an error when resources wait for each other, with all that wait in the first circle that is found."""
    circle = first_circle({name: _waits_for(name, comparison.after) for name in comparison.after.resources})
    if circle:
        told = " → ".join(comparison.path(name) for name in (*circle, circle[0]))
        yield CircularDependency(
            f"Resources of the stack {comparison.stack.name} wait for each other: {told}.",
            "Take one of the references out of the circle, or give it to a resource of its own (a policy, a rule).",
        )


def _waits_for(logical_id: str, template: Resolved) -> list[str]:
    resource = template.resources[logical_id]
    used = [name for name, _ in references({key: value for key, value in resource.items() if key != "Metadata"})]
    return [name for name in dict.fromkeys([*_awaited(resource), *used]) if name in template.resources]


def _awaited(resource: Mapping[str, Any]) -> list[str]:
    """Return what a resource names in `DependsOn`."""
    named = resource.get("DependsOn")
    return [name for name in (named if isinstance(named, list) else [named]) if isinstance(name, str)]


def first_circle(edges: Mapping[str, list[str]]) -> list[str]:
    """Return nodes that lead to each other in a circle; empty when there is none."""
    done: set[str] = set()
    for start in edges:
        path: dict[str, None] = {}
        waiting = [(start, 0)]
        while waiting:
            node, depth = waiting.pop()
            while len(path) > depth:
                path.popitem()
            if node in path:
                return list(path)[list(path).index(node) :]
            if node in done:
                continue
            path[node] = None
            done.add(node)
            waiting += [(following, depth + 1) for following in edges[node]]
    return []


def _changed_types(comparison: Comparison) -> Iterator[UserError]:
    """CloudFormation refuses to update a resource to another type."""
    for logical_id, resource in comparison.after.resources.items():
        before = comparison.before.resources.get(logical_id, resource)["Type"]
        if before != resource["Type"]:
            yield ResourceTypeChanged(
                f"{comparison.path(logical_id)} is {before} in the account and {resource['Type']} in the app, both as "
                f"{logical_id}; CloudFormation does not change a resource's type.",
                "Give the construct another id: the old resource is then removed and a new one made.",
            )


def _over_limits(comparison: Comparison) -> Iterator[UserError]:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""
    stack = comparison.stack
    if len(stack.tags) > _TAGS:
        what = f"The stack {stack.name} has {len(stack.tags)} tags, ours included; CloudFormation takes {_TAGS}."
        yield OverLimit(what, "Tag fewer things on the stack, or constructs inside it instead.")
    for name, value in stack.parameters.items():
        if (size := len(value.encode())) > _PARAMETER_BYTES:
            what = f"The parameter {name} of the stack {stack.name} has {size} bytes; CloudFormation takes "
            yield OverLimit(f"{what}{_PARAMETER_BYTES}.", "Keep the value in the parameter store or a bucket.")


def _suspect_members(value: Any, members: Members, kind: str, where: str, path: str) -> Iterator[Suspicion]:
    if isinstance(value, list):
        for item in value:
            yield from _suspect_members(item, members, kind, where, path)
    if not isinstance(value, dict) or any(name == "Ref" or name.startswith("Fn::") for name in value):
        return
    for name in members.required():
        if name not in value:
            lacks = f"{where} lacks the property {path}{name}."
            yield Suspicion(kind, name, MissingProperty(lacks, "Give it a value: its type demands one."))
    for name, item in value.items():
        rule = members.rule(name)
        if rule is None:
            has_not = f"{where} has no property {path}{name}."
            yield Suspicion(kind, name, UnknownProperty(has_not, _similar(name, members.names())))
        elif rule.members is not None and rule.mapped:
            inner = list(item.values()) if isinstance(item, dict) else []
            yield from _suspect_members(inner, rule.members, kind, where, f"{path}{name}.")
        elif rule.members is not None:
            yield from _suspect_members(item, rule.members, kind, where, f"{path}{name}.")


def _suspect_attributes(comparison: Comparison) -> Iterator[Suspicion]:
    present = comparison.after.resources
    asked = [(comparison.path(name), one) for name, resource in present.items() for one in references(resource)] + [
        (f"The output {comparison.inside}{name}", one)
        for name, output in comparison.after.outputs.items()
        for one in references(output)
    ]
    for where, (target, attribute) in dict.fromkeys(asked):
        kind = present[target]["Type"] if target in present else ""
        known = None if kind.startswith(_FREE_ATTRIBUTES) else resource_type(kind)
        if attribute and known and attribute not in known.attributes:
            what = f"{where} asks {comparison.path(target)} ({kind}) for {attribute}, which it does not have."
            yield Suspicion(kind, attribute, UnknownProperty(what, _similar(attribute, known.attributes)))


def _similar(name: str, names: Iterable[str]) -> str:
    # Looked up here, since nearly no plan has a misspelt name.
    from difflib import get_close_matches

    found = get_close_matches(name, list(names), n=1)
    return f"Did you mean {found[0]}?" if found else "See the resource type's page in CloudFormation's reference."
