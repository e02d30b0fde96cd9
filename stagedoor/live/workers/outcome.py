"""What a result says of itself. Pure."""

import json
from typing import Any

from stagedoor.live.functions import Outcome


def error_of(outcome: Outcome) -> dict[str, Any] | None:
    """Return the document of a function error, as its caller gets it; None for a response."""
    if outcome.kind == "response":
        return None
    try:
        document = json.loads(outcome.body)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    return {"errorType": outcome.headers.get("Lambda-Runtime-Function-Error-Type", ""), "errorMessage": ""}
