"""Where a reference leads, across all templates of a stage: nested stacks' parameters and outputs, and exports."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stagedoor.assembly.exports import exported_names
from stagedoor.assembly.expressions import Scope, Value, evaluate
from stagedoor.assembly.model import Template
from stagedoor.assembly.template import properties_of, resources, section
from stagedoor.assembly.template_tree import TemplateTree

Where = tuple[str, ...]
"""Which template: the stack's id, then the logical ids of the nested stacks that lead there."""

FUNCTION = "AWS::Lambda::Function"
_STANDS_FOR_FUNCTION = ("AWS::Lambda::Alias", "AWS::Lambda::Version")
_VARIABLE = re.compile(r"\$\{([^!${}][^${}]*)\}")
_HOPS = 40
"""How far a reference is followed. A template can hold a chain of any length."""


@dataclass(frozen=True, slots=True)
class Place:
    """A resource of a stage."""

    where: Where
    logical_id: str


class Places:
    """The resources of all templates of a stage. `trees` are the templates by the ids of their stacks."""

    def __init__(self, trees: Mapping[str, TemplateTree]) -> None:
        self._trees = {where: tree for name, tree in trees.items() for where, tree in _walk((name,), tree)}
        self._exports: dict[str, tuple[Where, Any]] = {}
        for where, tree in self._trees.items():
            for output, name in exported_names(tree.template, tree.scope):
                value = section(tree.template, "Outputs")[output]
                self._exports[_key(name, value["Export"]["Name"])] = (where, value.get("Value"))

    def of_type(self, *types: str) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Yield the resources of these types; of all where none is named."""
        for where, tree in self._trees.items():
            for logical_id, resource in resources(tree.template):
                if not types or resource["Type"] in types:
                    yield Place(where, logical_id), resource

    def resource(self, place: Place) -> dict[str, Any]:
        """Return a resource's definition."""
        found = section(self._trees[place.where].template, "Resources")[place.logical_id]
        return found if isinstance(found, dict) else {}

    def template(self, where: Where) -> Template:
        """Return a template."""
        return self._trees[where].template

    def scope(self, where: Where) -> Scope:
        """Return what the names in a template stand for."""
        return self._trees[where].scope

    def follow(self, expression: Any, where: Where, hops: int = _HOPS) -> Place | None:
        """Return the resource that an expression of the template refers to; None where that cannot be told."""
        if hops == 0:
            return None
        match expression:
            case {"Ref": str(name)}:
                return self._named(name, "", where, hops)
            case {"Fn::GetAtt": [str(name), *attribute]} if all(isinstance(part, str) for part in attribute):
                return self._named(name, ".".join(attribute), where, hops)
            case {"Fn::GetAtt": str(text)}:
                name, _, dotted = text.partition(".")
                return self._named(name, dotted, where, hops)
            case {"Fn::ImportValue": argument}:
                exported = self._exports.get(_key(evaluate(argument, self.scope(where)), argument))
                return self.follow(exported[1], exported[0], hops - 1) if exported else None
        return None

    def references(self, value: Any, where: Where) -> Iterator[Place]:
        """Yield the resources that a value refers to, at any depth."""
        if isinstance(value, list):
            for item in value:
                yield from self.references(item, where)
        elif isinstance(value, dict):
            place = self.follow(value, where)
            if place is not None:
                yield place
                return
            for key, item in value.items():
                yield from self.references(item, where)
                if key == "Fn::Sub":
                    yield from self._variables(item, where)

    def function_behind(self, expression: Any, where: Where) -> Place | None:
        """Return the function that an expression refers to, by itself or by its version or alias."""
        place = self.follow(expression, where)
        return self._function(place) if place else None

    def functions_behind(self, value: Any, where: Where) -> Iterator[Place]:
        """Yield the functions that a value refers to, at any depth."""
        for place in self.references(value, where):
            function = self._function(place)
            if function is not None:
                yield function

    def _function(self, place: Place) -> Place | None:
        found: Place | None = place
        for _ in range(_HOPS):
            kind = self.resource(found).get("Type") if found else None
            if found is None or kind == FUNCTION:
                return found
            if kind not in _STANDS_FOR_FUNCTION:
                return None
            found = self.follow(properties_of(self.resource(found)).get("FunctionName"), found.where)
        return None

    def _named(self, name: str, attribute: str, where: Where, hops: int) -> Place | None:
        tree = self._trees[where]
        if name in tree.nested and attribute.startswith("Outputs."):
            outputs = section(tree.nested[name].template, "Outputs")
            output = outputs.get(attribute.removeprefix("Outputs."))
            value = output.get("Value") if isinstance(output, dict) else None
            return self.follow(value, (*where, name), hops - 1)
        if name in section(tree.template, "Resources"):
            return Place(where, name)
        if name in section(tree.template, "Parameters") and len(where) > 1:
            passed = properties_of(self.resource(Place(where[:-1], where[-1]))).get("Parameters")
            given = passed.get(name) if isinstance(passed, dict) else None
            return self.follow(given, where[:-1], hops - 1)
        return None

    def _variables(self, argument: Any, where: Where) -> Iterator[Place]:
        text = argument[0] if isinstance(argument, list) and argument else argument
        for name in _VARIABLE.findall(text) if isinstance(text, str) else ():
            place = self.follow({"Fn::GetAtt": name} if "." in name else {"Ref": name}, where)
            if place is not None:
                yield place


def _walk(where: Where, tree: TemplateTree) -> Iterator[tuple[Where, TemplateTree]]:
    yield where, tree
    for logical_id, child in tree.nested.items():
        yield from _walk((*where, logical_id), child)


def _key(name: Value, expression: Any) -> str:
    """Return what marks an export and its imports: its name, or its expression where that is all there is."""
    return name if isinstance(name, str) else json.dumps(expression, sort_keys=True)
