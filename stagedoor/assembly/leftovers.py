"""What rewriting leaves as it is and a person should know: texts that name a stack, and what stays after a removal."""

import re
from collections.abc import Collection, Iterator
from typing import Any

from stagedoor.assembly.model import Template
from stagedoor.assembly.template import NESTED_STACK, properties_of, resources, section

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
        if resource["Type"] == NESTED_STACK and logical_id not in known:
            yield logical_id


def unseen_resources(template: Template) -> Iterator[str]:
    """Yield the entries of `Resources` that are no resources but make some when the template is deployed."""
    for name in section(template, "Resources"):
        if name.startswith("Fn::"):
            yield name
