"""The functions, without AWS: a table that is a list."""

import json
from typing import Any

import pytest

from functions import notes


class ListTable:
    """As much of a table as the functions use."""

    def __init__(self) -> None:
        self.items: list[dict[str, str]] = []

    def put_item(self, Item: dict[str, str]) -> None:  # noqa: N803 - DynamoDB's own name
        self.items.append(Item)

    def scan(self) -> dict[str, Any]:
        return {"Items": self.items}


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = ListTable()
    monkeypatch.setattr(notes, "table", lambda: table)


def test_a_note_is_added_and_read() -> None:
    added = notes.add({"body": '{"text": "hello"}'}, None)
    assert added["statusCode"] == 201
    assert json.loads(notes.read({}, None)["body"]) == [json.loads(added["body"])]


def test_a_note_without_text_is_refused() -> None:
    assert notes.add({"body": "{}"}, None)["statusCode"] == 400
