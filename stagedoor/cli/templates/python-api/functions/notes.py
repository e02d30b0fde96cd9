"""What the API answers."""

import json
import uuid
from functools import cache
from typing import Any

import boto3

from stagedoor.runtime import Table


@cache
def table() -> Any:
    """Return the table that the functions are bound to in app.py."""
    return boto3.resource("dynamodb").Table(Table.Notes.table_name)


def read(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer `GET /` with all notes."""
    return answer(200, table().scan()["Items"])


def add(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer `POST /` with the note that was added."""
    try:
        text = json.loads(event.get("body") or "")["text"]
    except (ValueError, KeyError, TypeError):
        return answer(400, {"error": 'Send {"text": "…"}.'})
    note = {"id": uuid.uuid4().hex, "text": str(text)}
    table().put_item(Item=note)
    return answer(201, note)


def answer(status: int, body: object) -> dict[str, Any]:
    """Return what API Gateway makes an HTTP answer of."""
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}
