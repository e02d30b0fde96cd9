"""Which conditions of a template are known to hold, or not to, before it is deployed.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-conditions.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from stagedoor.assembly.expressions import Scope, evaluate
from stagedoor.assembly.model import Template
from stagedoor.assembly.template import resources, section


def with_conditions(scope: Scope, template: Template) -> Scope:
    """Return the scope with those of the template's conditions that are known."""
    conditions = _Conditions(section(template, "Conditions"), scope)
    known = {name: conditions.named(name) for name in conditions.declared}
    return replace(scope, conditions={name: holds for name, holds in known.items() if holds is not None})


def never_made(template: Template, scope: Scope) -> frozenset[str]:
    """Return the logical ids of resources whose condition does not hold."""
    absent = {name for name, holds in scope.conditions.items() if not holds}
    return frozenset(logical_id for logical_id, one in resources(template) if _condition(one) in absent)


def _condition(resource: Mapping[str, Any]) -> str | None:
    condition = resource.get("Condition")
    return condition if isinstance(condition, str) else None


_CHAIN = 50
"""How far conditions that name each other are followed. A template can hold a chain of any length."""


@dataclass(slots=True)
class _Conditions:
    """The conditions of a template; each is worked out once, and one that names itself is not known."""

    declared: Mapping[str, Any]
    scope: Scope
    known: dict[str, bool | None] = field(default_factory=dict)
    chain: int = 0

    def named(self, name: Any) -> bool | None:
        """Return whether a condition holds; None: it cannot be told."""
        if not isinstance(name, str) or name not in self.declared:
            return None
        if name not in self.known and self.chain < _CHAIN:
            self.known[name] = None
            self.chain += 1
            self.known[name] = self._holds(self.declared[name])
            self.chain -= 1
        return self.known.get(name)

    def _holds(self, condition: Any) -> bool | None:
        match condition:
            case {"Condition": name}:
                return self.named(name)
            case {"Fn::Equals": [one, other]}:
                texts = evaluate(one, self.scope), evaluate(other, self.scope)
                return texts[0] == texts[1] if all(isinstance(text, str) for text in texts) else None
            case {"Fn::Not": [one]}:
                holds = self._holds(one)
                return None if holds is None else not holds
            case {"Fn::And": [*some]}:
                return _all({self._holds(one) for one in some}, deciding=False)
            case {"Fn::Or": [*some]}:
                return _all({self._holds(one) for one in some}, deciding=True)
        return None


def _all(parts: set[bool | None], *, deciding: bool) -> bool | None:
    """Return `deciding` where one part is that, its contrary where all are, else None."""
    if deciding in parts:
        return deciding
    return None if None in parts else not deciding
