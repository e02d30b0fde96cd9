"""What rewriting leaves as it is and a person should know: texts that name a stack, and what stays after a removal."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from stagedoor.assembly.loops import LOOP
from stagedoor.assembly.model import Template
from stagedoor.assembly.template import NESTED, properties_of, resources, section

SEEN_THROUGH = frozenset({"AWS::LanguageExtensions", "AWS::Serverless-2016-10-31"})
"""Macros whose loops are unrolled here and whose resource types are known."""

PROSE = re.compile(r".*(Description|Comment|Tags|TemplateURL|ZipFile)$")
"""Properties whose text is for people, or is the business of others; a stack's name in them does no harm."""


def stack_literals(template: Template, stack_names: Collection[str], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Yield logical id, property and stack name where a property holds the app's own name of a stack as a word.

    The template must be rewritten already: the stage's names hold the app's, behind `prefix`.
    """
    names = "|".join(re.escape(name) for name in sorted(stack_names, key=len, reverse=True))
    word = re.compile(rf"(?<![A-Za-z0-9])(?<!{re.escape(prefix)}-)({names})(?![A-Za-z0-9])")
    for logical_id, resource in resources(template):
        for name, value in properties_of(resource).items():
            for path, text in _texts(value, name):
                found = word.search(text)
                if found:
                    yield logical_id, path, found[1]


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the texts in a property's value that are meant for AWS, each with its property's path."""
    if PROSE.match(path):
        return
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("Ref", "Fn::GetAtt", "Fn::ImportValue"):
                continue
            yield from _texts(item, path if key.startswith("Fn::") else f"{path}.{key}")


def unknown_nested_stacks(template: Template, known: Collection[str]) -> Iterator[str]:
    """Yield the nested stacks whose template is not one of the assembly's."""
    for logical_id, resource in resources(template):
        if resource["Type"] in NESTED and logical_id not in known:
            yield logical_id


def unseen_resources(template: Template) -> Iterator[tuple[str, str]]:
    """Yield logical id and kind of what is no resource yet, but makes some or changes others on deployment."""
    for name in _transforms(template.get("Transform")):
        if name not in SEEN_THROUGH:
            yield name, "macro"
    for logical_id, value in section(template, "Resources").items():
        if logical_id.startswith("Fn::"):
            yield logical_id, "loop" if logical_id.startswith(LOOP) else "transform"
        elif isinstance(value, dict) and str(value.get("Type", "")).endswith("::MODULE"):
            yield logical_id, "module"
        elif _holds_transform(value):
            yield logical_id, "transform"


def _transforms(declared: Any) -> Iterator[str]:
    for one in declared if isinstance(declared, list) else [declared]:
        name = one.get("Name") if isinstance(one, dict) else one
        if isinstance(name, str):
            yield name


def _holds_transform(value: Any) -> bool:
    if isinstance(value, dict):
        return "Fn::Transform" in value or any(_holds_transform(item) for item in value.values())
    return isinstance(value, list) and any(_holds_transform(item) for item in value)
