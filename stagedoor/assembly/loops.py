"""`Fn::ForEach`: loops that CloudFormation unrolls when it deploys, unrolled here, so that what they make can be seen.

A loop over a list that the template spells out is replaced by the entries that it stands for; they are what the
transform would make of it. A loop over anything else (a parameter's value) stays, and is reported.
Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-foreach.html
"""

import re
from collections.abc import Iterator
from typing import Any

from stagedoor.assembly.model import Template
from stagedoor.assembly.template import section, with_strings

LOOP = "Fn::ForEach::"
TURNS = 5_000
"""The most turns in one section. CloudFormation allows 500 resources; loops within loops could go on for ever."""


class _TooManyTurns(Exception):
    """The loops of a section do not end in reasonable time."""


def unrolled(template: Template) -> Template:
    """Return the template without the loops in its sections whose lists are known."""
    sections = {name: _unrolled(section(template, name)) for name in ("Conditions", "Resources", "Outputs")}
    return {name: sections.get(name) or value for name, value in template.items()}


def _unrolled(entries: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(_entries(entries, iter(range(TURNS))))
    except _TooManyTurns:
        return entries


def _entries(entries: dict[str, Any], turns: Iterator[int]) -> Iterator[tuple[str, Any]]:
    for key, value in entries.items():
        match value:
            case [str(name), list(items), dict(body)] if key.startswith(LOOP) and _are_texts(items):
                for item in items:
                    if next(turns, None) is None:
                        raise _TooManyTurns
                    yield from _entries(_filled(body, name, item), turns)
            case _:
                yield key, value


def _are_texts(items: list[Any]) -> bool:
    return all(isinstance(item, str) for item in items)


def _filled(body: dict[str, Any], name: str, item: str) -> dict[str, Any]:
    """Return one turn's entries: `${Name}` is the item, `&{Name}` its letters and digits."""
    bare = re.sub(r"[^A-Za-z0-9]", "", item)
    filled = with_strings(body, lambda text: text.replace(f"${{{name}}}", item).replace(f"&{{{name}}}", bare))
    result: dict[str, Any] = _without_ref(filled, name, item)
    return result


def _without_ref(value: Any, name: str, item: str) -> Any:
    if value == {"Ref": name}:
        return item
    if isinstance(value, dict):
        return {key: _without_ref(inner, name, item) for key, inner in value.items()}
    return [_without_ref(inner, name, item) for inner in value] if isinstance(value, list) else value
