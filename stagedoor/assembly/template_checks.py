"""What a stack's templates, nested ones included, must not hold: more than CloudFormation takes, and what the rules of
the target do not allow."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from stagedoor.assembly.documents import MalformedAssembly
from stagedoor.assembly.expressions import evaluate
from stagedoor.assembly.model import Assembly, Stack, Template
from stagedoor.assembly.rules import AssemblyRules
from stagedoor.assembly.target_names import resolved, url_suffix
from stagedoor.assembly.template import NESTED_STACK, properties_of, resources, section
from stagedoor.assembly.template_tree import TemplateTree, load_tree
from stagedoor.errors import UserError
from stagedoor.target import Target

SECTION_LIMITS = {"Resources": 500, "Outputs": 200, "Parameters": 200, "Mappings": 200}
MAPPING_KEYS = 200
NAME_LENGTH = 255
DESCRIPTION_BYTES = 1_024
"""https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""

TREES_BYTES = 64_000_000
"""Of all stacks' templates together, nested ones as often as they are nested: to look at 30 MB takes a second."""

_LISTED = 10
"""How many things one error names."""


class TemplateOverLimits(UserError):
    """A template that holds more than CloudFormation takes."""

    id = "template-over-limits"


class DeniedResourceType(UserError):
    """A resource of a type that the target's operator does not let into it."""

    id = "denied-resource-type"


class DeniedTransform(UserError):
    """A macro that the target's operator does not let templates use."""

    id = "denied-transform"


class UnseenTemplate(UserError):
    """A nested stack whose template is not in the assembly, in a target with rules for templates."""

    id = "unseen-template"


def check_templates(assembly: Assembly, target: Target, rules: AssemblyRules, template_bytes: int) -> None:
    """Raise `TemplateOverLimits`, `DeniedTransform`, `DeniedResourceType` or `UnseenTemplate`.

    `template_bytes` is the most that one template may have.
    """
    read = 0
    for stack in assembly.stacks:
        tree = load_tree(assembly.directory, stack, target).in_scope(stack.own_name, stack.parameters, frozenset())
        for part in tree.all():
            path = stack.template_path if part.asset is None else part.asset.source
            size = path.stat().st_size
            read += size
            if read > TREES_BYTES:
                raise MalformedAssembly(
                    f"The stacks of the assembly nest more than {TREES_BYTES // 1_000_000} MB of templates.",
                    "Split the app into several.",
                )
            _check_limits(part.template, stack, size, template_bytes)
            if rules.looks_inside:
                _check_transforms(part.template, stack, rules)
                _check_types(part.template, stack, rules)
                _check_nested(part, stack, target)


def _check_limits(template: Template, stack: Stack, size: int, most: int) -> None:
    counts = [(len(section(template, name)), limit, name.lower()) for name, limit in SECTION_LIMITS.items()]
    mappings = section(template, "Mappings").values()
    counts += [(len(keys), MAPPING_KEYS, "keys in one mapping") for keys in mappings if isinstance(keys, dict)]
    names = [name for part in SECTION_LIMITS for name in section(template, part)]
    counts += [(len(name), NAME_LENGTH, "characters in one name") for name in names]
    description = template.get("Description")
    if isinstance(description, str):
        counts.append((len(description.encode(errors="replace")), DESCRIPTION_BYTES, "bytes of description"))
    counts.append((size, most, "bytes"))
    for count, limit, what in counts:
        if count > limit:
            raise TemplateOverLimits(
                f"A template of the stack {stack.display_name!a} has {count} {what}; CloudFormation takes {limit}.",
                "Split the stack into several, or move part of it into a nested stack.",
            )


def _check_transforms(template: Template, stack: Stack, rules: AssemblyRules) -> None:
    allowed = rules.allowed_transforms
    used = () if allowed is None else (name for name in transforms(template) if name not in allowed)
    for name in used:
        raise DeniedTransform(
            f"The stack {stack.display_name!a} uses the macro {name!a}, which may not be used in this target.",
            f"Allowed are: {', '.join(allowed or ()) or 'none'}. The target's operator can allow others.",
        )


def transforms(template: Template) -> Iterator[str]:
    """Yield the name of each macro that a template is put through, as a whole or in a part of it."""
    declared = template.get("Transform")
    for macro in declared if isinstance(declared, list) else [declared]:
        if macro is not None:
            yield _macro_name(macro)
    pending: list[Any] = [template]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if "Fn::Transform" in value:
                yield _macro_name(value["Fn::Transform"])
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)


def _macro_name(macro: Any) -> str:
    name = macro.get("Name") if isinstance(macro, dict) else macro
    return name if isinstance(name, str) else "?"


def _check_types(template: Template, stack: Stack, rules: AssemblyRules) -> None:
    denied = [
        f"{stack.construct_paths.get(logical_id) or logical_id} ({kind})"
        for logical_id, kind in resource_types(template)
        # A type that a loop puts together could become any.
        if "${" in kind or any(fnmatchcase(kind, pattern) for pattern in rules.denied_types)
    ]
    if denied:
        more = f" and {len(denied) - _LISTED} more" if len(denied) > _LISTED else ""
        raise DeniedResourceType(
            f"The stack {stack.display_name!a} holds what may not be in this target: "
            f"{', '.join(ascii(name)[1:-1] for name in denied[:_LISTED])}{more}.",
            "Leave it out of this stage; the target's operator can allow the type.",
        )


def resource_types(template: Template) -> Iterator[tuple[str, str]]:
    """Yield logical id and type of each resource, those that `Fn::ForEach` makes included."""
    for logical_id, resource in section(template, "Resources").items():
        if not logical_id.startswith("Fn::"):
            if isinstance(resource, dict) and isinstance(resource.get("Type"), str):
                yield logical_id, resource["Type"]
            continue
        pending: list[Any] = [resource]
        while pending:
            value = pending.pop()
            if isinstance(value, dict):
                if isinstance(value.get("Type"), str):
                    yield logical_id, value["Type"]
                pending.extend(value.values())
            elif isinstance(value, list):
                pending.extend(value)


def _check_nested(part: TemplateTree, stack: Stack, target: Target) -> None:
    """A nested stack's `TemplateURL` must be exactly where a template of the assembly is going to be."""
    definitions = dict(resources(part.template))
    for logical_id, kind in resource_types(part.template):
        if kind != NESTED_STACK:
            continue
        child = part.nested.get(logical_id)
        if child is not None and child.asset is not None:
            url = evaluate(properties_of(definitions[logical_id]).get("TemplateURL"), part.scope)
            place = f"{resolved(child.asset.bucket, target)}/{resolved(child.asset.key, target)}"
            if url == f"https://s3.{target.region}.{url_suffix(target)}/{place}":
                continue
        raise UnseenTemplate(
            f"The stack {stack.display_name!a} nests a template that is not in the assembly ({logical_id!a}).",
            "Use `NestedStack`, or `CfnStack` with the template as an asset; the target's operator can lift this.",
        )
