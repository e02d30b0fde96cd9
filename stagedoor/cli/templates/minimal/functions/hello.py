"""What the URL answers."""

from typing import Any


def handle(event: dict[str, Any], context: object) -> dict[str, str]:
    """Greet whoever asks: `?name=Ann`."""
    name = (event.get("queryStringParameters") or {}).get("name", "world")
    return {"hello": name}
