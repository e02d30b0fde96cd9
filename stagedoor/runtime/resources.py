"""Resources by kind and name, read from the environment when they are asked for.

A function's environment has one variable for each resource that it is bound to, `STAGEDOOR_BIND_<kind>_<name>`, whose
value is JSON. A cold start waits for every import here, so what is seldom needed is imported where it is.
"""

import json

from stagedoor.runtime.variables import STORED, bound, variable_of

# Known to type checkers by its name; to import `typing` would take longer than all of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KINDS = ("Api", "Bucket", "EventBus", "Function", "Parameter", "Queue", "Secret", "StaticSite", "Table", "Topic")

_found: "dict[str, Resources]" = {}


class NotBound(AttributeError):
    """The code is not bound to what it asks for."""


class Resource:
    """One resource; what is known of it are its attributes."""

    def __init__(self, kind: str, name: str, properties: "dict[str, Any]") -> None:
        self._kind, self._name, self._properties = kind, name, properties

    def __getattr__(self, name: str) -> "Any":
        if name.startswith("_"):
            raise AttributeError(name)
        properties = self._properties
        if name in properties:
            return properties[name]
        if name == "value" and self._kind in STORED:
            from stagedoor.runtime.stored_values import VALUES

            return VALUES.value(self._kind, self._name, properties)
        from stagedoor.runtime.messages import no_property

        raise AttributeError(no_property(f"{self._kind}.{self._name}", name, dir(self)))

    def __dir__(self) -> "list[str]":
        own = ("value",) if self._kind in STORED else ()
        return sorted({*self._properties, *own})

    def __repr__(self) -> str:
        return f"<{self._kind}.{self._name}>"


class Resources:
    """The resources of one kind."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._known: dict[str, tuple[str, Resource]] = {}

    def __getattr__(self, name: str) -> "Any":
        if name.startswith("_"):
            raise AttributeError(name)
        text = variable_of(self._kind, name)
        if text is None:
            from stagedoor.runtime.messages import not_bound

            raise NotBound(not_bound(self._kind, name))
        known = self._known.get(name)
        if known is None or known[0] != text:
            known = self._known[name] = text, Resource(self._kind, name, json.loads(text))
        return known[1]

    def __dir__(self) -> "list[str]":
        return [name for kind, name in bound() if kind == self._kind]

    def __repr__(self) -> str:
        return f"<{self._kind}: {', '.join(dir(self)) or 'none is bound'}>"


def kind_named(kind: str) -> Resources:
    """Return the resources of a kind. Raises `AttributeError` for one that there is not, as a module does."""
    if kind not in KINDS:
        from stagedoor.runtime.messages import no_kind

        raise AttributeError(no_kind(kind, KINDS))
    return _found.setdefault(kind, Resources(kind))
