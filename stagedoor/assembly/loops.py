"""`Fn::ForEach`: loops that CloudFormation unrolls when it deploys, unrolled here, so that what they make can be seen.

A loop over a list that the template spells out is replaced by the entries that it stands for; they are what the
transform would make of it. A loop over anything else (a parameter's value) stays, and is reported.
Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference-foreach.html
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from stagedoor.assembly.model import Template
from stagedoor.assembly.template import section, with_strings

LOOP = "Fn::ForEach::"
TURNS = 5_000
SIZE = 4_000_000
"""The most turns in one section, and the letters that they may make. CloudFormation allows 500 resources in a template
of 1 MB; loops within loops could go on for ever."""


_VALUE = 20
"""What each value takes of that room beside its letters: about its cost."""


class _TooManyTurns(Exception):
    """The loops of a section do not end in reasonable time, or make more than there is room for."""


@dataclass(slots=True)
class _Room:
    """What the loops of a section may still do."""

    turns: int = TURNS
    size: int = SIZE

    def turn(self) -> None:
        self.turns -= 1
        self.take(0)

    def take(self, size: int) -> None:
        """Raise `_TooManyTurns` when there is no room for so much more."""
        self.size -= size
        if self.turns < 0 or self.size < 0:
            raise _TooManyTurns


def unrolled(template: Template) -> Template:
    """Return the template without the loops in its sections whose lists are known."""
    sections = {name: _unrolled(section(template, name)) for name in ("Conditions", "Resources", "Outputs")}
    return {name: sections.get(name) or value for name, value in template.items()}


def _unrolled(entries: dict[str, Any]) -> dict[str, Any]:
    try:
        return dict(_entries(entries, _Room()))
    except _TooManyTurns:
        return entries


def _entries(entries: dict[str, Any], room: _Room) -> Iterator[tuple[str, Any]]:
    for key, value in entries.items():
        match value:
            case [str(name), list(items), dict(body)] if key.startswith(LOOP) and _are_texts(items):
                for item in items:
                    room.turn()
                    yield from _entries(_filled(body, name, item, room), room)
            case _:
                yield key, value


def _are_texts(items: list[Any]) -> bool:
    return all(isinstance(item, str) for item in items)


def _filled(body: dict[str, Any], name: str, item: str, room: _Room) -> dict[str, Any]:
    """Return one turn's entries: `${Name}` is the item, `&{Name}` its letters and digits."""
    whole, letters = f"${{{name}}}", f"&{{{name}}}"
    bare = re.sub(r"[^A-Za-z0-9]", "", item)

    def fill(text: str) -> str:
        room.take(len(text) + len(item) * (text.count(whole) + text.count(letters)))
        return text.replace(whole, item).replace(letters, bare)

    result: dict[str, Any] = _without_ref(with_strings(body, fill), name, item, room)
    return result


def _without_ref(value: Any, name: str, item: str, room: _Room) -> Any:
    room.take(_VALUE)
    if value == {"Ref": name}:
        room.take(len(item))
        return item
    if isinstance(value, dict):
        return {key: _without_ref(inner, name, item, room) for key, inner in value.items()}
    return [_without_ref(inner, name, item, room) for inner in value] if isinstance(value, list) else value
