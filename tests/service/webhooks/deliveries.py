"""GitHub's side of a webhook: real example payloads, signed as GitHub signs them."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

EXAMPLES = Path(__file__).parents[2] / "node/node_modules/@octokit/webhooks-examples"
SECRET = "a secret of twenty-eight bytes"
OLD_SECRET = "the secret that it replaces"
URL = "/webhooks/github"


def examples(server: str = "api.github.com") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield event and payload of each of GitHub's own examples."""
    for event in json.loads((EXAMPLES / server / "index.json").read_bytes()):
        for payload in event["examples"]:
            yield event["name"], payload


def example(event: str, action: str | None = None, **having: Any) -> dict[str, Any]:
    """Return a copy of the first example of an event and action that has these values."""
    for name, payload in examples():
        if name == event and payload.get("action") == action and having.items() <= payload.items():
            return payload
    raise LookupError(f"{event} {action} {having}")


@dataclass(frozen=True)
class Sent:
    """A delivery as GitHub would send it; sending it twice is a redelivery, as its GUID stays the same."""

    event: str
    payload: Mapping[str, Any]
    guid: str = field(default_factory=lambda: str(uuid4()))

    @property
    def body(self) -> bytes:
        return json.dumps(self.payload).encode()

    def headers(self, secret: str = SECRET) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "X-GitHub-Event": self.event,
            "X-GitHub-Delivery": self.guid,
            "X-Hub-Signature-256": signature(self.body, secret),
        }

    def to(self, client: FlaskClient, secret: str = SECRET, **other_headers: str) -> TestResponse:
        headers = self.headers(secret) | {name.replace("_", "-"): value for name, value in other_headers.items()}
        return client.post(URL, data=self.body, headers=headers)


def signature(body: bytes, secret: str = SECRET) -> str:
    """Sign by the book, without the code under test."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
