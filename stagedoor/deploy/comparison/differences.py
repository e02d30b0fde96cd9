"""What a deploy changes in a stack: resources, outputs and parameters, as data.

The deployed template is compared with the wanted one, both worked out (`resolution.py`); which change replaces a
resource is known from the table of resource types. No call is made. It tells what `cdk diff` tells and two things more:
a parameter's new value shows where it is used, and what refers to a replaced resource changes with it, as in a change
set. Not told, as CloudFormation alone knows them: resources that were changed by hand (drift), values behind SSM
parameters and secrets, what macros make.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from stagedoor.assembly.retention import DATA, RETAINING, SNAPSHOT_BY_DEFAULT
from stagedoor.deploy.comparison.resolution import HIDDEN, Resolved
from stagedoor.deploy.comparison.resource_types.reading import Members, Replacement, resource_type

_RANK = [Replacement.NEVER, Replacement.MAYBE, Replacement.ALWAYS]
_ATTRIBUTES = ("DeletionPolicy", "UpdateReplacePolicy", "DependsOn", "CreationPolicy", "UpdatePolicy", "Condition")
_IDENTIFYING = re.compile(r"(Arn|Id|Name)$")
"""Attributes that a new resource surely has another value of than the old."""

_KEEPING = RETAINING - {"Snapshot"}
_SECRET = re.compile(r"(?i)(password|passphrase|passwd|secret|secretstring|secretkey|token|privatekey|api_?key)s?$")
"""Names whose values are not shown, where they are text in the template."""


class ChangeAction(StrEnum):
    """What happens to a resource, an output or a permission."""

    ADD = "add"
    MODIFY = "modify"
    REMOVE = "remove"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One value that changes; None where there is none. `path` is dotted, with places in lists (`Rules.0.Status`).

    `cause` says why a value changes that the template writes as before: what it refers to is replaced.
    """

    path: str
    before: Any = None
    after: Any = None
    replacement: Replacement = Replacement.NEVER
    cause: str = ""


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """What happens to one resource.

    `replacement`: whether it becomes a new one. `loses_data`: it holds data, and the old one is deleted (or may be,
    where the replacement is `MAYBE`). `kept`: the old one stays in the account and is no longer part of the stack.
    """

    logical_id: str
    type: str
    construct_path: str
    action: ChangeAction
    replacement: Replacement = Replacement.NEVER
    properties: tuple[ValueChange, ...] = ()
    loses_data: bool = False
    kept: bool = False
    cause: str = ""


@dataclass(frozen=True, slots=True)
class StackDifference:
    """All that changes in a stack. Secrets are hidden in each value."""

    resources: tuple[ResourceChange, ...] = ()
    outputs: tuple[ValueChange, ...] = ()
    parameters: tuple[ValueChange, ...] = field(default=())


def difference(before: Resolved, after: Resolved, paths: Mapping[str, str]) -> StackDifference:
    """Compare a stack's resources and outputs; `paths` are construct paths by logical id."""
    changes = {
        logical_id: change
        for logical_id in [*after.resources, *(gone for gone in before.resources if gone not in after.resources)]
        if (change := _resource(logical_id, before.resources.get(logical_id), after.resources.get(logical_id), paths))
    }
    _follow_replacements(changes, after, paths)
    outputs = [
        ValueChange(name, _output(before.outputs.get(name)), _output(after.outputs.get(name)))
        for name in [*after.outputs, *(gone for gone in before.outputs if gone not in after.outputs)]
        if not _same(before.outputs.get(name), after.outputs.get(name))
    ]
    return StackDifference(tuple(changes.values()), tuple(outputs))


def value_changes(before: Any, after: Any, path: str = "") -> Iterator[ValueChange]:
    """Yield each innermost value in which two values differ. Lists of different lengths differ as a whole."""
    if _same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict) and not _is_function(before) and not _is_function(after):
        for name in [*before, *(added for added in after if added not in before)]:
            yield from value_changes(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from value_changes(old, new, f"{path}.{place}")
    else:
        yield ValueChange(path, before, after)


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Yield each logical id that a worked-out value refers to, with the attribute; empty for `Ref`."""
    match value:
        case {"Ref": str(name)} if len(value) == 1:
            yield name, ""
        case {"Fn::GetAtt": [str(name), attribute]} if len(value) == 1:
            yield name, attribute if isinstance(attribute, str) else "?"
        case dict():
            for item in value.values():
                yield from references(item)
        case list():
            for item in value:
                yield from references(item)


def _resource(
    logical_id: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, paths: Mapping[str, str]
) -> ResourceChange | None:
    path = paths.get(logical_id, "") or _path_of(before) or logical_id
    if before is None and after is not None:
        return ResourceChange(logical_id, after["Type"], path, ChangeAction.ADD)
    if before is not None and after is None:
        policy = _policy(before, "DeletionPolicy")
        kept, lost = policy in _KEEPING, _loses_data(before["Type"], policy)
        return ResourceChange(logical_id, before["Type"], path, ChangeAction.REMOVE, loses_data=lost, kept=kept)
    if before is None or after is None:
        return None
    kind = after["Type"]
    changes = [*_property_changes(kind, before, after), *_attribute_changes(before, after)]
    return _modified(ResourceChange(logical_id, kind, path, ChangeAction.MODIFY), changes, after) if changes else None


def _modified(change: ResourceChange, changes: Sequence[ValueChange], after: Mapping[str, Any]) -> ResourceChange:
    replacement = max((one.replacement for one in changes), key=_RANK.index)
    policy = _policy(after, "UpdateReplacePolicy")
    return replace(
        change,
        properties=tuple(changes),
        replacement=replacement,
        loses_data=replacement is not Replacement.NEVER and _loses_data(change.type, policy),
        kept=replacement is not Replacement.NEVER and policy in _KEEPING,
    )


def _property_changes(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[ValueChange]:
    known = resource_type(kind)
    for change in value_changes(before.get("Properties", {}), after.get("Properties", {})):
        # A custom resource's own code says whether it became another one, by the id that it returns.
        rating = replacement_of(change.path, known.members) if known else Replacement.MAYBE
        yield redacted(replace(change, replacement=rating))


def replacement_of(path: str, members: Members) -> Replacement:
    """Return what changing the property at a path does: the most that the property, or one around it, demands."""
    rating, inside = Replacement.NEVER, False
    for name in path.split("."):
        if inside or name.isdigit():
            inside = False
            continue
        rule = members.rule(name)
        if rule is None:
            break
        rating = max(rating, rule.replacement, key=_RANK.index)
        if rule.members is None:
            break
        members, inside = rule.members, rule.mapped
    return rating


def _attribute_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[ValueChange]:
    for name in _ATTRIBUTES:
        if not _same(before.get(name), after.get(name)):
            yield ValueChange(name, before.get(name), after.get(name))
    yield from value_changes(_metadata(before), _metadata(after), "Metadata")


def _metadata(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata that means something to the resource: CDK's own notes mean nothing to it."""
    found = resource.get("Metadata")
    return {key: item for key, item in found.items() if not key.startswith("aws:")} if isinstance(found, dict) else {}


def _follow_replacements(changes: dict[str, ResourceChange], after: Resolved, paths: Mapping[str, str]) -> None:
    """Add what follows from replacements: who refers to a resource that becomes another changes, too."""
    referrers: dict[str, list[str]] = {}
    for logical_id, resource in after.resources.items():
        for target in {name for name, _ in references(resource.get("Properties"))} - {logical_id}:
            referrers.setdefault(target, []).append(logical_id)
    waiting = [one for one, change in changes.items() if change.replacement is not Replacement.NEVER]
    while waiting:
        replaced = changes[waiting.pop()]
        for logical_id in referrers.get(replaced.logical_id, ()):
            resource = after.resources[logical_id]
            path = paths.get(logical_id, "") or _path_of(resource) or logical_id
            known = changes.get(logical_id)
            change = known or ResourceChange(logical_id, resource["Type"], path, ChangeAction.MODIFY)
            following = _with_following(change, resource, replaced)
            if following is not change:
                changes[logical_id] = following
                if following.replacement is not change.replacement:
                    waiting.append(logical_id)


def _with_following(change: ResourceChange, resource: Mapping[str, Any], replaced: ResourceChange) -> ResourceChange:
    """Return the change with the properties that refer to what is replaced; the same one where they say no more."""
    if change.action is not ChangeAction.MODIFY:
        return change
    written = {one.path: one for one in change.properties}
    new = [one for one in _following(resource, replaced) if _more(one, written.get(one.path))]
    if not new:
        return change
    merged = _modified(change, list((written | {one.path: one for one in new}).values()), resource)
    return replace(merged, cause=change.cause if change.properties else new[0].cause)


def _following(resource: Mapping[str, Any], replaced: ResourceChange) -> Iterator[ValueChange]:
    """Yield the properties that refer to a resource that is replaced."""
    known = resource_type(resource["Type"])
    properties = resource.get("Properties", {})
    for name, value in properties.items() if isinstance(properties, dict) else ():
        attributes = [attribute for target, attribute in references(value) if target == replaced.logical_id]
        if not attributes:
            continue
        own = replacement_of(name, known.members) if known else Replacement.MAYBE
        surely = replaced.replacement is Replacement.ALWAYS and any(
            not attribute or _IDENTIFYING.search(attribute) for attribute in attributes
        )
        rating = own if surely else min(own, Replacement.MAYBE, key=_RANK.index)
        verb = "is" if replaced.replacement is Replacement.ALWAYS else "may be"
        yield redacted(ValueChange(name, value, value, rating, f"{replaced.construct_path} {verb} replaced"))


def _more(new: ValueChange, known: ValueChange | None) -> bool:
    """Whether a following change says more than what is known of the property already."""
    return known is None or _RANK.index(new.replacement) > _RANK.index(known.replacement)


def _policy(resource: Mapping[str, Any], name: str) -> str:
    """Return a resource's deletion policy; empty where it has none, or one that a macro works out."""
    found = resource.get(name)
    return found if isinstance(found, str) else ""


def _loses_data(kind: str, policy: str) -> bool:
    if kind in SNAPSHOT_BY_DEFAULT and not policy:
        return False
    return kind in DATA and policy not in RETAINING


def _path_of(resource: Mapping[str, Any] | None) -> str:
    metadata = resource.get("Metadata") if resource else None
    path = metadata.get("aws:cdk:path") if isinstance(metadata, dict) else None
    return path if isinstance(path, str) else ""


def _output(output: Mapping[str, Any] | None) -> Any:
    """Return an output's value, with the name of its export where it has one."""
    if output is None:
        return None
    export = output.get("Export")
    name = export.get("Name") if isinstance(export, dict) else None
    return output.get("Value") if name is None else {"Value": output.get("Value"), "Export": name}


def _is_function(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and (next(iter(value)) == "Ref" or next(iter(value)).startswith("Fn::"))


def _same(left: Any, right: Any) -> bool:
    """Whether two values are the same to CloudFormation, which takes `"1"` for 1 and `"true"` for true."""
    return bool(left == right or _plain(left) == _plain(right))


def _plain(value: Any) -> Any:
    """Return a value with its scalars as text."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value).lower() if isinstance(value, bool) else value if value is None else str(value)


def redacted(change: ValueChange) -> ValueChange:
    """Return the change without secrets: text under a name that says that it is one. References to secrets stay."""
    name = next((part for part in reversed(change.path.split(".")) if not part.isdigit()), "")
    return replace(change, before=_without_secrets(name, change.before), after=_without_secrets(name, change.after))


def _without_secrets(name: str, value: Any) -> Any:
    if isinstance(value, dict) and not _is_function(value):
        return {key: _without_secrets(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(name, item) for item in value]
    secret = isinstance(value, str) and value and _SECRET.search(name) and not value.startswith(("{{resolve:", "arn:"))
    return HIDDEN if secret else value
