"""A cloud assembly as data.

Source of the format: https://github.com/aws/aws-cdk-cli/tree/main/packages/%40aws-cdk/cloud-assembly-schema
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from stagedoor.assembly.bridged_functions import BridgedFunction
from stagedoor.errors import Location

Template = dict[str, Any]
"""A CloudFormation template as parsed JSON."""


class Packaging(StrEnum):
    """How a file asset's source becomes the bytes that are published."""

    FILE = "file"
    ZIP = "zip"


@dataclass(frozen=True, slots=True)
class FileAsset:
    """A file or directory that must be in the target's bucket before a stack can use it.

    `source` is absolute and inside the assembly. `bucket` and `key` may hold the placeholders that CDK writes
    (`${AWS::AccountId}`, `${AWS::Region}`, `${AWS::Partition}`) until the assembly was rewritten; then they are plain.
    `claimed_hash` is what the assembly says; it is never trusted as an address.
    """

    claimed_hash: str
    source: Path
    packaging: Packaging
    bucket: str
    key: str
    display_name: str = ""
    is_template: bool = False


@dataclass(frozen=True, slots=True)
class DockerImageAsset:
    """A container image that must be in the target's repository. `source` is the build context."""

    claimed_hash: str
    source: Path
    repository: str
    tag: str
    display_name: str = ""
    build: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stack:
    """One CloudFormation stack of the assembly.

    `id` is the artifact's id in its manifest (with the ids of the nested assemblies before it, joined by `/`);
    `own_name` is the name that the app gave the stack and `name` the one it is deployed under (equal until rewritten).
    `dependencies` are ids of other stacks of the assembly. `construct_paths` maps logical ids to construct paths.
    `assets` are those that this stack needs, its own template excepted. `acknowledged` are the ids of the rules that
    the app knows to be broken, by construct path; they hold for all that is below it. `places` are where in the
    repository resources were asked for, by logical id, as far as the assembly says. `roles` are those that the app
    wants to be deployed by: the target's are used, and these are only looked at.
    """

    id: str
    own_name: str
    name: str
    template_path: Path
    account: str
    region: str
    dependencies: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    termination_protection: bool = False
    assets: tuple[FileAsset | DockerImageAsset, ...] = ()
    construct_paths: Mapping[str, str] = field(default_factory=dict)
    display_name: str = ""
    bootstrap_version: int = 0
    notification_arns: tuple[str, ...] = ()
    acknowledged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    places: Mapping[str, Location] = field(default_factory=dict)
    roles: tuple[str, ...] = ()


class Level(StrEnum):
    """How much an app's annotation matters. The values are the ends of the types that CDK writes (`aws:cdk:error`)."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "info"


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a construct says about itself (`Annotations.of(self).add_error`)."""

    construct_path: str
    message: str
    level: Level


@dataclass(frozen=True, slots=True)
class BindableResource:
    """Something that code of the app can be bound to, as code writes it: `kind.name.property`."""

    kind: str
    name: str
    properties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assembly:
    """All stacks of a cloud assembly, in an order in which each comes after those it depends on.

    `bindable` is what its constructs told, in their order; `resources.bindable_resources` puts it together.
    `made_for` are the stages that its constructs were told to be of: it would be wrong in another one.
    """

    directory: Path
    stacks: tuple[Stack, ...]
    missing_context: tuple[Mapping[str, Any], ...] = ()
    annotations: tuple[Annotation, ...] = ()
    bindable: tuple[BindableResource, ...] = ()
    made_for: frozenset[str] = frozenset()

    def stack(self, stack_id: str) -> Stack:
        """Return the stack with this id; `KeyError` when there is none."""
        for stack in self.stacks:
            if stack.id == stack_id:
                return stack
        raise KeyError(stack_id)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in an assembly that rewriting cannot make safe for a stage, with the remedy in one line."""

    stack: str
    logical_id: str
    construct_path: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A stage's own assembly and what could not be made safe in it (warnings; what would collide is an error).

    `functions` are the stage's, where it was asked to have bridges.
    """

    assembly: Assembly
    findings: tuple[Finding, ...] = ()
    functions: tuple[BridgedFunction, ...] = ()
