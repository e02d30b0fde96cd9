"""Webhooks on their way out: signed, numbered, sent once, remembered.

Source of the headers: https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
"""

import hashlib
import hmac
import http.client
import json
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(slots=True)
class Delivery:
    """One delivery. `status` is what the receiver answered; 0: nothing, or it was never sent."""

    guid: str
    event: str
    body: bytes
    status: int = 0

    @property
    def payload(self) -> dict[str, Any]:
        """The body as JSON."""
        return dict(json.loads(self.body))


class Deliveries:
    """Sends webhooks to one URL, in the order in which they happen; like GitHub, it does not try again by itself."""

    def __init__(self, url: str, secret: str, app_id: int) -> None:
        self.url = url
        self._secret = secret
        self._app_id = app_id
        self._pool = ThreadPoolExecutor(1, "deliveries")
        self._last: Future[None] | None = None
        self.all: list[Delivery] = []

    def send(self, event: str, payload: Mapping[str, Any], *, deliver: bool = True) -> Delivery:
        """Record a delivery and, unless it is to be lost on the way, send it in the background."""
        delivery = Delivery(str(uuid.uuid4()), event, json.dumps(payload).encode())
        self.all.append(delivery)
        if deliver and self.url:
            self._last = self._pool.submit(self._post, delivery)
        return delivery

    def redeliver(self, delivery: Delivery) -> None:
        """Send a delivery again, with the same GUID and body."""
        self._last = self._pool.submit(self._post, delivery)

    def wait(self, seconds: float = 30) -> None:
        """Return when everything that was sent so far was answered."""
        if self._last:
            self._last.result(seconds)

    def close(self) -> None:
        """Drop what was not yet sent and stop."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def headers(self, delivery: Delivery) -> dict[str, str]:
        """Return the headers that go with a delivery."""
        signature = hmac.new(self._secret.encode(), delivery.body, hashlib.sha256).hexdigest()
        return {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/local",
            "X-GitHub-Delivery": delivery.guid,
            "X-GitHub-Event": delivery.event,
            "X-GitHub-Hook-ID": "1",
            "X-GitHub-Hook-Installation-Target-ID": str(self._app_id),
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature-256": f"sha256={signature}",
        }

    def _post(self, delivery: Delivery) -> None:
        url = urlsplit(self.url)
        # GitHub gives up after ten seconds.
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
        try:
            connection.request("POST", url.path or "/", delivery.body, self.headers(delivery))
            delivery.status = connection.getresponse().status
        except OSError:
            delivery.status = 0
        finally:
            connection.close()
