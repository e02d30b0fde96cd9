"""Lambda's Runtime API, as a runtime asks it (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html)."""

from __future__ import annotations

import contextlib
import json

from stagedoor.live.bridge.named_tuple import NamedTuple
from stagedoor.live.bridge.wire import Broken, Connection, Head, NotReached, Origin

API = "/2018-06-01/runtime"


class Gone(Exception):
    """The Runtime API does not answer as it must: a runtime ends then, and Lambda starts another."""


class Result(NamedTuple):
    """What an attempt ends with: `response` or `error`, the headers to post it with, and the bytes."""

    kind: str
    headers: list[tuple[str, str]]
    body: bytes


class Invocation(NamedTuple):
    """One event, raw, and the headers that came with it."""

    head: Head
    event: bytes

    @property
    def request_id(self) -> str:
        """AWS's id, the same for each of its retries of an event."""
        return self.head.get("lambda-runtime-aws-request-id")

    @property
    def deadline_ms(self) -> int:
        """When Lambda ends the sandbox, in milliseconds since the epoch."""
        return int(self.head.get("lambda-runtime-deadline-ms") or 0)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The fields that are the invocation's own: a relay and a runtime are given these."""
        return [
            (name, value)
            for name, value in self.head.fields
            if name.lower().startswith("lambda-runtime-") or name.lower() == "content-type"
        ]


def failure(kind: str, message: str) -> Result:
    """Return a function error in the shape of Lambda's own."""
    body = json.dumps(
        {"errorType": kind, "errorMessage": message}, separators=(",", ":")
    ).encode()  # as Lambda writes it
    return Result("error", [("Content-Type", "application/json"), ("Lambda-Runtime-Function-Error-Type", kind)], body)


class RuntimeApi:
    """The real Runtime API, on a connection that is kept."""

    def __init__(self, address: str) -> None:
        self.origin = Origin(f"http://{address}")
        self._connection: Connection | None = None

    def connect(self) -> Connection:
        """Return a new connection to it; for as long as an event may take to come. Raises `Gone`."""
        try:
            connection = self.origin.connected(5.0)
        except NotReached as error:
            raise Gone(f"the Runtime API cannot be reached: {error}") from None
        connection.silence(None)
        return connection

    def next(self) -> Invocation:
        """Wait for the next event; the sandbox may be frozen meanwhile. Raises `Gone`."""
        head, body = self._ask(Head(f"GET {API}/invocation/next HTTP/1.1", []), b"")
        if head.status != 200:
            raise Gone(f"/next was answered with {head.status}: {body[:200]!r}")
        return Invocation(head, body)

    def post(self, invocation: Invocation, result: Result) -> int:
        """Post what it ends with, and return the status: 202, or 413 for what Lambda finds too large. Raises `Gone`."""
        where = f"{API}/invocation/{invocation.request_id}/{'response' if result.kind == 'response' else 'error'}"
        answers = invocation.head.get("lambda-runtime-invocation-id")
        headers = [*result.headers, *([("Lambda-Runtime-Invocation-Id", answers)] if answers else [])]
        return self._ask(Head(f"POST {where} HTTP/1.1", headers), result.body)[0].status

    def _ask(self, head: Head, body: bytes) -> tuple[Head, bytes]:
        connection = self._connection
        if connection is None or not connection.usable():
            connection = self._connection = self.connect()
        length = [("Content-Length", str(len(body)))] if head.line.startswith("POST") else []
        try:
            with contextlib.suppress(Broken):  # it answers what is too large before it has read it
                connection.send(Head(head.line, [("Host", self.origin.named), *length, *head.fields]), body)
            answer = connection.head()
            return answer, connection.whole(answer)
        except Broken as error:
            self._connection = None
            raise Gone(f"the Runtime API broke off: {error}") from None
