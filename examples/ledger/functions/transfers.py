"""A transfer is asked for: it is signed and goes into the queue. The same key again is the same transfer."""

import hashlib
import hmac
import json

import boto3
from answers import Json, answer

from stagedoor.runtime import Queue, Secret

sqs = boto3.client("sqs")


def create(event: Json, context: object) -> Json:
    key = event["headers"].get("idempotency-key", "")
    wish = json.loads(event.get("body") or "{}")
    cents = wish.get("cents")
    if not key or not wish.get("from") or not wish.get("to") or not isinstance(cents, int) or cents <= 0:
        return answer(400, error="Send from, to and cents, and a header Idempotency-Key.")
    transfer = {
        "id": hashlib.sha256(key.encode()).hexdigest()[:32],
        **{name: wish[name] for name in ("from", "to", "cents")},
    }
    text = json.dumps(transfer, sort_keys=True)
    sqs.send_message(QueueUrl=Queue.Transfers.queue_url, MessageBody=text)
    receipt = hmac.new(Secret.SigningKey.value.encode(), text.encode(), "sha256").hexdigest()
    return answer(202, transfer=transfer, receipt=receipt)
