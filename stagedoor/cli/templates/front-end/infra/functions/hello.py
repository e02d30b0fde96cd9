"""What the API answers."""

from typing import Any


def greet(event: dict[str, Any], context: object) -> dict[str, str]:
    """Answer `GET /hello`."""
    return {"hello": "world"}
