"""Resources by kind and name, read from the environment when they are asked for."""

import json
import os
from typing import Any

VARIABLE = "STAGEDOOR_BIND_"
KINDS = ("Api", "Bucket", "EventBus", "Function", "Parameter", "Queue", "Secret", "StaticSite", "Table", "Topic")


_found: "dict[str, Resources]" = {}


class NotBound(AttributeError):
    """The code is not bound to what it asks for."""


class Resource:
    """One resource; what is known of it are its attributes."""

    def __init__(self, kind: str, name: str, properties: dict[str, Any]) -> None:
        self.__dict__.update(properties)
        self._kind, self._name = kind, name

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self._kind}.{self._name} has no {name!r}; it has {', '.join(sorted(vars(self)))}.")


class Resources:
    """The resources of one kind."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        text = os.environ.get(f"{VARIABLE}{self._kind}_{name}")
        if text is None or name.startswith("_"):
            function = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "this code")
            raise NotBound(
                f"{function} is not bound to {self._kind}.{name}. Add it where the function is made: bind=[…, {name}]."
            )
        resource = Resource(self._kind, name, json.loads(text))
        setattr(self, name, resource)
        return resource


def kind_named(kind: str) -> Resources:
    """Return the resources of a kind. Raises `AttributeError` for one that there is not, as a module does."""
    if kind not in KINDS:
        raise AttributeError(f"module 'stagedoor.runtime' has no attribute {kind!r}")
    return _found.setdefault(kind, Resources(kind))
