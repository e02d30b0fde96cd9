"""What a result says of itself. Pure but for the clock."""

import json
import time
from typing import Any

from stagedoor.live.functions import Outcome
from stagedoor.live.lambda_errors import FunctionError

ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"


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
    return {"errorType": outcome.headers.get(ERROR_TYPE, ""), "errorMessage": ""}


def own_error(error: FunctionError) -> Outcome:
    """Return the outcome of an invocation that no handler's result stands for."""
    now = int(time.time() * 1000)
    return Outcome("error", error.body(), {"Content-Type": "application/json", ERROR_TYPE: error.type}, now, now)
