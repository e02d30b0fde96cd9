"""What an app's constructs tell by metadata of their own: what code can be bound to, and which stage they are of.

`stagedoor.constructs.binding` writes an entry of the type `stagedoor:resource` for each construct, with
`{kind, name, properties}`; `stagedoor.constructs.stage` one of the type `stagedoor:stage` with the name of the stage
that a construct asked for. What is no such entry is passed over: the assembly may be a stranger's, and what is read
here becomes source code (`stagedoor types`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stagedoor.assembly.model import Assembly, BindableResource
from stagedoor.assembly.schema import MetadataEntry
from stagedoor.naming import STAGE_NAME

METADATA = "stagedoor:resource"
STAGE_METADATA = "stagedoor:stage"
MOST = 1_000
"""Entries of one stack that are read; CloudFormation lets a stack have 500 resources."""

_LENGTH = 255


def told_resources(metadata: Mapping[str, Sequence[MetadataEntry]]) -> Iterator[BindableResource]:
    """Yield what the constructs of one stack told."""
    told = [entry.data for entries in metadata.values() for entry in entries if entry.type == METADATA]
    for data in told[:MOST]:
        match data:
            case {"kind": kind, "name": name, "properties": [*properties]} if all(
                map(_is_name, (kind, name, *properties))
            ):
                yield BindableResource(kind, name, tuple(properties))


def told_stages(metadata: Mapping[str, Sequence[MetadataEntry]]) -> Iterator[str]:
    """Yield the names of the stages that the constructs of one stack asked for: one, if the app is right."""
    for entries in metadata.values():
        for entry in entries:
            if entry.type == STAGE_METADATA and isinstance(entry.data, str) and STAGE_NAME.match(entry.data):
                yield entry.data


def bindable_resources(assembly: Assembly) -> tuple[BindableResource, ...]:
    """Return what code of the app can be bound to, each kind and name once, in their order.

    Two stacks may each have one of a name; of these every property is known.
    """
    found: dict[tuple[str, str], set[str]] = {}
    for resource in assembly.bindable:
        found.setdefault((resource.kind, resource.name), set()).update(resource.properties)
    return tuple(BindableResource(kind, name, tuple(sorted(found[kind, name]))) for kind, name in sorted(found))


def _is_name(word: Any) -> bool:
    return (
        isinstance(word, str)
        and word.isidentifier()
        and word.isascii()
        and not word.startswith("_")
        and len(word) <= _LENGTH
    )
