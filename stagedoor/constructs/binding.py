"""What a resource gives to code that is bound to it, and how the assembly tells of it.

Three things reach the function: what `stagedoor.runtime` needs to know, in one environment variable for each resource;
the narrowest permissions that serve; and, by the assembly's metadata, the types that `stagedoor types` writes. What
each resource gives is decided in `grants/`.
"""

import hashlib
import keyword
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from stagedoor.constructs.errors import ConstructError
from stagedoor.naming import BINDING_OUTPUT

METADATA = "stagedoor:resource"
"""The kind of metadata in an assembly's manifest that says what can be bound: `{kind, name, properties}`."""

VARIABLE = "STAGEDOOR_BIND_"
"""What the environment variables begin with that `stagedoor.runtime` reads: then `<kind>_<name>`."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Actions on resources, all of them named (IAM's own words)."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Binding:
    """What one resource gives.

    `kind` and `name` are how code finds it: `Table.Notes`. `properties` are what it then knows (`table_name`); values
    may be tokens. `grants` are the statements by access (`read`, `write`, …), and `default` those that bare `bind`
    gives. `typed` are properties that are worked out when they are asked for (a secret's `value`), for the types alone.
    `owner` is the construct whose stack tells of it.
    """

    kind: str
    name: str
    owner: Construct
    properties: Mapping[str, str]
    grants: Mapping[str, tuple[Statement, ...]] = field(default_factory=dict)
    default: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()

    def with_access(self, *access: str) -> "Binding":
        """Return it with these accesses in place of the default ones."""
        unknown = [name for name in access if name not in self.grants]
        if unknown:
            raise ConstructError(
                f"{self.kind} {self.name} cannot be bound for {', '.join(unknown)}.",
                f"What it can be bound for: {', '.join(self.grants)}.",
                self.owner.node.path,
            )
        return replace(self, default=access)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What the code may do."""
        return tuple(statement for access in self.default for statement in self.grants[access])

    @property
    def variable(self) -> str:
        """The environment variable that carries it."""
        return f"{VARIABLE}{self.kind}_{self.name}"


@runtime_checkable
class Bindable(Protocol):
    """Anything of ours that code can be bound to."""

    @property
    def binding(self) -> Binding:
        """What it gives."""


def tell(binding: Binding) -> None:
    """Write into the assembly that a resource can be bound: for `stagedoor types`, and with its values, once deployed,
    for `stagedoor shell`. To be called by each construct of ours when it is made, and when something is bound; says it
    once of each, of two that have one id in different scopes, too. CloudFormation allows a stack 200 outputs, so
    functions are told of when something is bound to them.
    """
    check_name(binding)
    stack = Stack.of(binding.owner)
    output = f"{BINDING_OUTPUT}{binding.kind}{binding.name}".replace("_", "")
    if stack.node.try_find_child(output) is not None:
        if any(entry.type == METADATA for entry in binding.owner.node.metadata):
            return
        output += hashlib.sha256(binding.owner.node.path.encode()).hexdigest()[:8]
    names = [*binding.properties, *binding.typed]
    binding.owner.node.add_metadata(
        METADATA, {"kind": binding.kind, "name": binding.name, "properties": names, "output": output}
    )
    CfnOutput(
        stack,
        output,
        value=stack.to_json_string({"kind": binding.kind, "name": binding.name, **binding.properties}),
    ).override_logical_id(output)


def check_name(binding: Binding) -> None:
    """Raise `ConstructError` for an id that code could not write after a dot."""
    name = binding.name
    if not name.isidentifier() or keyword.iskeyword(name) or not name.isascii() or name.startswith("_"):
        raise ConstructError(
            f"{name!r} cannot be written as {binding.kind}.{name} in code.",
            "Use letters, digits and underscores, beginning with a letter.",
            binding.owner.node.path,
        )


def statement(actions: str | Sequence[str], *resources: str) -> Statement:
    """Return a statement; `actions` may be one text with spaces between."""
    return Statement(tuple(actions.split() if isinstance(actions, str) else actions), resources)
