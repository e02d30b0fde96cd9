import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from stagedoor.assembly.shapes import NotOfShape, read


@dataclass(frozen=True)
class Door:
    width: int
    kind: Literal["wing", "sliding"] = "wing"


@dataclass(frozen=True)
class House:
    street: Annotated[str, "streetName", re.compile("[A-Z].*")]
    doors: Mapping[str, list[Door]] = field(default_factory=dict)
    lit: bool = False
    note: str | None = None
    rest: Any = None


def test_a_document_of_the_shape_is_read():
    front = {"width": 90, "kind": "sliding", "colour": "red"}
    document = {"streetName": "Elm", "doors": {"front": [front, {"width": 80}]}, "note": None, "rest": [1, {}]}
    expected = House("Elm", {"front": [Door(90, "sliding"), Door(80)]}, rest=[1, {}])
    assert read(House, document) == expected


@pytest.mark.parametrize(
    ("document", "where", "how"),
    [
        ([], "", "it is no object"),
        ({}, "streetName", "it is missing"),
        ({"streetName": 5}, "streetName", "it is not text"),
        ({"streetName": "elm"}, "streetName", "it does not match [A-Z].*"),
        ({"streetName": "Elm\n"}, "streetName", "it does not match [A-Z].*"),
        ({"streetName": "Elm", "lit": 1}, "lit", "it is not true or false"),
        ({"streetName": "Elm", "note": []}, "note", "it is not text"),
        ({"streetName": "Elm", "doors": {"front": {}}}, "doors.front", "it is no list"),
        ({"streetName": "Elm", "doors": {"front": [{"width": 1}, []]}}, "doors.front.1", "it is no object"),
        (
            {"streetName": "Elm", "doors": {"front": [{"width": True}]}},
            "doors.front.0.width",
            "it is not a whole number",
        ),
        (
            {"streetName": "Elm", "doors": {"x": [{"width": 1, "kind": []}]}},
            "doors.x.0.kind",
            "it is none of wing, sliding",
        ),
    ],
)
def test_what_differs_is_said_with_its_place(document: object, where: str, how: str):
    with pytest.raises(NotOfShape) as raised:
        read(House, document)
    assert (raised.value.where, raised.value.how) == (where, how)


def test_a_closed_shape_refuses_names_that_it_does_not_know():
    document = {"streetName": "Elm", "doors": {"front": [{"width": 80, "colour": "red"}]}}
    with pytest.raises(NotOfShape) as raised:
        read(House, document, closed=True)
    assert raised.value.where == "doors.front.0.colour"
