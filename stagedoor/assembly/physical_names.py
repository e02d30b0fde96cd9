"""Names of AWS resources that an app has fixed, so that two stages would claim the same one.

Left out, AWS makes a name of the stack's name, the logical id and a random end. A name may also be built from these:
`AWS::StackName`, a reference to another resource, or the name of the stage, which synth tells the app
(`STAGEDOOR_STAGE`, context `stagedoor:stage`). Everything else is the same text in each stage.
Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-name.html
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stagedoor.assembly.conditions import never_made
from stagedoor.assembly.expressions import Scope, Unresolved, evaluate
from stagedoor.assembly.model import Stack, Template
from stagedoor.assembly.named_types import NAMED, Named
from stagedoor.assembly.template import construct_paths_of, properties_of, resources
from stagedoor.naming import StageIdentity


@dataclass(frozen=True, slots=True)
class FixedName:
    """A resource whose `property` is `name` in every stage; `name` is none where its text cannot be told."""

    logical_id: str
    type: str
    property: str
    name: str | None


def fixed_names(
    template: Template, scope: Scope, identity: StageIdentity, own: Collection[str] = ()
) -> Iterator[FixedName]:
    """Yield each resource with a name that two stages would share; names in `own` are known to be the stage's."""
    absent = never_made(template, scope)
    for logical_id, resource in resources(template):
        for named in NAMED.get(resource["Type"], ()) if logical_id not in absent else ():
            if any(_own(_property(resource, around), scope, identity, own) for around in named.within):
                continue
            for expression in _names(resource, named):
                if not _own(expression, scope, identity, own):
                    name = evaluate(expression, scope)
                    yield FixedName(
                        logical_id, resource["Type"], named.property, name if isinstance(name, str) else None
                    )


def generated_names(template: Template, scope: Scope, prefix: str, stack: Stack) -> Mapping[str, str]:
    """Return names that CDK made up from a construct's path, each with the stage's own in its place.

    Where a type must have a name, CDK builds one of the path and eight digits of its MD5
    (aws-cdk-lib, `core/lib/private/uniqueid.js`, `unique-resource-name.js`). Such a name is no one's choice, so it is
    replaced: the eight digits become those of the stage's prefix and the name, which keeps length and alphabet.
    """
    paths = {**stack.construct_paths, **construct_paths_of(template)}
    generated: dict[str, str] = {}
    for logical_id, resource in resources(template):
        for named in NAMED.get(resource["Type"], ()):
            for expression in _names(resource, named):
                name = evaluate(expression, scope)
                digest = _path_digest(name, paths.get(logical_id), stack.own_name) if isinstance(name, str) else None
                if isinstance(name, str) and digest is not None:
                    own = hashlib.sha256(f"{prefix}/{name}".encode()).hexdigest()[: len(digest)]
                    generated[name] = name.replace(digest, own.upper() if digest.isupper() else own)
    return generated


def names_stage(text: str, identity: StageIdentity) -> bool:
    """Return whether a text holds the stage's name or its prefix as words of its own, whatever separates them."""
    words = f"-{_words(text)}-"
    return f"-{_words(identity.stage)}-" in words or f"-{_words(identity.prefix)}-" in words


def _own(expression: Any, scope: Scope, identity: StageIdentity, own: Collection[str]) -> bool:
    value = evaluate(expression, scope)
    if isinstance(value, str):
        return value in own or names_stage(value, identity)
    if value is Unresolved.ABSENT:
        return True
    if isinstance(expression, dict) and "Fn::If" in expression:
        branches = expression["Fn::If"]
        return isinstance(branches, list) and all(_own(branch, scope, identity, own) for branch in branches[1:])
    return value is Unresolved.OWN


def _names(resource: dict[str, Any], named: Named) -> list[Any]:
    value = _property(resource, named.property)
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _property(resource: dict[str, Any], path: str) -> Any:
    value: Any = properties_of(resource)
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _path_digest(name: str, construct_path: str | None, stack_name: str) -> str | None:
    """Return the digest in `name` that proves that CDK made it from the construct's path; none where there is none."""
    if construct_path is None:
        return None
    parts = construct_path.split("/")
    # CDK takes the path from the app's root, or from the stack on with the stack's name in its id's place.
    for start in range(len(parts)):
        for head in (parts[start], stack_name):
            ids = [part for part in (head, *parts[start + 1 :]) if part != "Default"]
            for end in range(len(ids), 1, -1):
                digest = hashlib.md5("/".join(ids[:end]).encode(), usedforsecurity=False).hexdigest()[:8]
                for written in (digest.upper(), digest):
                    if written in name:
                        return written
    return None
