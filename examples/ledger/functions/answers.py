import json
from decimal import Decimal
from typing import Any

Json = dict[str, Any]


def answer(status: int, **body: object) -> Json:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body, default=_plain),
    }


def _plain(value: object) -> int:
    if isinstance(value, Decimal):
        return int(value)
    raise TypeError(value)
