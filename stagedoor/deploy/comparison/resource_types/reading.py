"""A resource type as a plan sees it."""

import functools
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("types.zip")


class Replacement(StrEnum):
    """Whether a change makes CloudFormation replace the resource by a new one."""

    NEVER = "never"
    MAYBE = "maybe"  # it depends on the value, or on what a custom resource's own code does
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class PropertyRule:
    """What the specification says of one property; `members` are those of its value, None where they are free."""

    replacement: Replacement
    required: bool
    members: "Members | None"
    mapped: bool


@dataclass(frozen=True, slots=True)
class Members:
    """The properties that an object may have. Shapes refer to themselves, too, so each is read when asked for."""

    _rows: Mapping[str, Any]
    _shapes: Mapping[str, Any]

    def rule(self, name: str) -> PropertyRule | None:
        """Return the rule for a property; None for one that the specification does not know."""
        if name not in self._rows:
            return None
        flags, shape = self._rows[name]
        replacement = Replacement.ALWAYS if "y" in flags else Replacement.MAYBE if "m" in flags else Replacement.NEVER
        members = None if shape is None else Members(self._shapes[shape], self._shapes)
        return PropertyRule(replacement, "r" in flags, members, "*" in flags)

    def names(self) -> Iterator[str]:
        """Yield the names of all properties."""
        yield from self._rows

    def required(self) -> Iterator[str]:
        """Yield the names of the properties that must be there."""
        yield from (name for name, (flags, _) in self._rows.items() if "r" in flags)


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One type: its properties, and the attributes that `Fn::GetAtt` can read."""

    name: str
    members: Members
    attributes: frozenset[str]


def resource_type(name: str) -> ResourceType | None:
    """Return what is known of a type; None for custom resources, modules, third parties' types and unknown ones."""
    member = _service(name.rpartition("::")[0])
    found = member["types"].get(name)
    if found is None:
        return None
    return ResourceType(name, Members(found["properties"], member["shapes"]), frozenset(found["attributes"]))


def version() -> str:
    """Return the version of the specification that the table was made of."""
    return str(_member("version")["aws-service-spec"])


@functools.lru_cache(maxsize=256)
def _service(namespace: str) -> dict[str, Any]:
    try:
        return _member(namespace.replace("::", "-"))
    except KeyError:
        return {"types": {}, "shapes": {}}


def _member(name: str) -> dict[str, Any]:
    member: dict[str, Any] = json.loads(_archive().read(f"{name}.json"))
    return member


@functools.cache
def _archive() -> zipfile.ZipFile:
    """Return the table, opened once: to read its directory takes longer than to read a member."""
    return zipfile.ZipFile(TABLE)
