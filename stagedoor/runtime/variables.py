"""What this process is bound to, as its environment says it."""

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VARIABLE = "STAGEDOOR_BIND_"
STORED = frozenset({"Parameter", "Secret"})
"""Kinds whose `value` is in the parameter store, and not in the environment."""

given: "list[Mapping[str, str]]" = []
"""Variables that come before the environment's, the last first: those of `testing.bindings`."""


def bound() -> "list[tuple[str, str]]":
    """Return the kind and the name of all that this process is bound to."""
    names = {variable for layer in (os.environ, *given) for variable in layer if variable.startswith(VARIABLE)}
    found = (variable.removeprefix(VARIABLE).partition("_") for variable in sorted(names))
    return [(kind, name) for kind, _, name in found]


def properties_of(kind: str, name: str) -> "dict[str, Any]":
    """Return what the environment says of a resource that is bound."""
    properties: dict[str, Any] = json.loads(variable_of(kind, name) or "{}")
    return properties


def variable_of(kind: str, name: str) -> "str | None":
    """Return the text that says what a resource is; None where nothing of its name is bound."""
    variable = f"{VARIABLE}{kind}_{name}"
    for layer in reversed(given):
        if variable in layer:
            return layer[variable]
    return os.environ.get(variable)
