"""Answers for the shop's customers."""

from typing import Any

VERSION = "shop 1"


def handler(_event: dict[str, Any], _context: object) -> dict[str, Any]:
    return {"statusCode": 200, "body": VERSION}
