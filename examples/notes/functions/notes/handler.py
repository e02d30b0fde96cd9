"""GET / says which version answers · POST /notes keeps a note · GET /notes/{id} reads it back."""

import json
import os
import uuid
from typing import Any

import boto3

VERSION = "notes 1"

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
bucket = boto3.resource("s3").Bucket(os.environ["BUCKET"])


def handle(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a request in API Gateway's payload format 2.0."""
    method = event["requestContext"]["http"]["method"]
    match method, event["rawPath"].strip("/").split("/"):
        case "GET", [""]:
            return answer(200, {"version": VERSION})
        case "POST", ["notes"]:
            return create(event.get("body") or "")
        case "GET", ["notes", note_id]:
            return read(note_id)
        case _:
            return answer(404, {"error": "There is nothing here."})


def create(body: str) -> dict[str, Any]:
    try:
        text = json.loads(body)["text"]
    except (ValueError, KeyError, TypeError):
        return answer(400, {"error": 'Send {"text": "..."}.'})
    note = {"id": uuid.uuid4().hex, "text": str(text)}
    table.put_item(Item=note)
    bucket.put_object(Key=f"notes/{note['id']}.txt", Body=note["text"].encode())
    return answer(201, note)


def read(note_id: str) -> dict[str, Any]:
    note = table.get_item(Key={"id": note_id}).get("Item")
    if note is None:
        return answer(404, {"error": "There is no such note."})
    archived = bucket.Object(f"notes/{note_id}.txt").get()["Body"].read().decode()
    return answer(200, {**note, "archived": archived == note["text"]})


def answer(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}
