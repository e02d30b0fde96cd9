"""What is asked of the relay for this sandbox: a token, whether anybody is there, and each attempt's result."""

from __future__ import annotations

import json
import os
import struct
import time

from stagedoor.live.bridge.attempts import (
    CONNECT_S,
    MARGIN_S,
    REST_S,
    SILENCE_S,
    Ask,
    Attempt,
    Deployed,
    Failure,
)
from stagedoor.live.bridge.identity import Settings, credentials, presigned, sandbox
from stagedoor.live.bridge.log import say
from stagedoor.live.bridge.named_tuple import TYPE_CHECKING
from stagedoor.live.bridge.rapid import Invocation, Result, failure
from stagedoor.live.bridge.wire import Broken, Connection, Head, NotReached, Origin, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

BEAT, DEPLOYED, WANTED, ROUTED, CUSTODY, RESULT, DATA, FAILED = range(8)
"""Types of the frames that the relay answers with (docs/live.md)."""

REFRESH_S = 60.0
"""A token that ends sooner is renewed before it is used; sooner than in half its life, where that is less."""

PATIENCE_S = 4.0
"""How long anything but an attempt's answer may take; the relay gives STS 3 s."""

_POSTED = ("content-type", "lambda-runtime-function-error-type", "lambda-runtime-function-xray-error-cause")
_PREFIX = struct.Struct(">BI")


class Refused(Exception):
    """The relay knows better than to serve this function."""


class Relay:
    """The relay as one sandbox sees it."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self.settings = settings
        self.environment = environment
        self.origin = Origin(settings.server)
        self._connection: Connection | None = None
        self._token = ""
        self._live: bool | None = None
        self._token_good_until = 0.0
        self._rests_until = 0.0

    def live(self) -> bool:
        """Whether somebody would take this function's next invocation. False where the relay cannot say."""
        try:
            authorized = self._authorized()
            if self._live is not None:
                return self._live  # as the token came with the answer
            connection = self._asked("GET", "/live/presence", authorized)
            return bool(_document(connection.whole(connection.head())).get("live"))
        except (NotReached, Broken, Refused) as error:
            self._drop()  # what comes late must not be taken for another question's answer
            self._rest(str(error))
            return False

    def relayed(self, invocation: Invocation) -> Result | None:
        """Return the attempt's result, or None: the deployed code answers, for it never left this sandbox."""
        if time.time() < self._rests_until:
            return None
        now, clock = time.monotonic(), time.time()
        name = f"{invocation.request_id}.{os.urandom(4).hex()}"
        attempt = Attempt(name, len(invocation.event), now, now + invocation.deadline_ms / 1e3 - clock - MARGIN_S)
        attempt.deadline_ms = min(int((clock + self.settings.timeout_s) * 1e3), invocation.deadline_ms)
        while True:
            outcome = self._tried(attempt, invocation)
            if isinstance(outcome, Result):
                return outcome
            if isinstance(outcome, Failure):
                return failure(*outcome)
            if isinstance(outcome, Deployed):
                if outcome.rest:
                    self._rest(outcome.reason)
                return None
            time.sleep(outcome.pause_s)

    def _tried(self, attempt: Attempt, invocation: Invocation) -> Result | Deployed | Failure | Ask:
        """Ask once, and return what it came to."""
        if time.monotonic() >= attempt.ends:
            message = f"RequestId: {invocation.request_id} Error: The relay had no result before Lambda's own time-out."
            return Failure("Sandbox.Timedout", message)
        try:
            return self._asked_once(attempt, invocation)
        except NotReached as error:
            return attempt.not_reached(str(error), time.monotonic())
        except Refused as error:
            return attempt.refused(str(error), time.monotonic())
        except Broken as error:
            self._drop()
            return attempt.broken(f"{self.origin.named} ({error})", time.monotonic())

    def _asked_once(self, attempt: Attempt, invocation: Invocation) -> Result | Deployed | Failure | Ask:
        authorized = self._authorized()
        held = credentials(self.environment)
        identifier, document = sandbox(self.environment, held)
        if attempt.with_sandbox:
            self._put_sandbox(identifier, document, authorized)
            attempt.with_sandbox = False
        event = invocation.event if attempt.with_event else b""
        headers = [*authorized, *invocation.headers, *self._stagedoor_headers(attempt, invocation, identifier)]
        connection = self._asked("POST", f"/live/attempts/{quoted(attempt.name)}", headers, event, attempt)
        head = connection.head()
        if head.status == 200:
            return self._followed(connection, head, attempt)
        connection.whole(head)
        if head.status == 401:
            self._token_good_until = 0.0
            return attempt.unauthorized(time.monotonic())
        if head.status == 503:
            self._drop()  # it drains: another process has to take the next request
        return attempt.answered(head.status, head.get("retry-after"), time.monotonic())

    def _stagedoor_headers(self, attempt: Attempt, invocation: Invocation, identifier: str) -> list[tuple[str, str]]:
        headers = [
            ("Stagedoor-Deadline-Ms", str(attempt.deadline_ms)),
            ("Stagedoor-Size", str(len(invocation.event))),
            ("Stagedoor-Sandbox", identifier),
        ]
        if attempt.again:
            headers.append(("Stagedoor-Again", str(attempt.again)))
        if attempt.session:
            headers.append(("Stagedoor-Session", attempt.session))
        return headers

    def _followed(self, connection: Connection, head: Head, attempt: Attempt) -> Result | Deployed | Failure | Ask:
        """Return what the stream of frames comes to, which is read to its end."""
        outcome: Result | Deployed | Failure | Ask | None = None
        result: dict[str, Any] = {}
        data: list[bytes] = []
        for kind, payload in _frames(connection, head, attempt):
            if kind == DEPLOYED:
                outcome = Deployed()
            elif kind == WANTED:
                outcome = attempt.wanted(_document(payload))
            elif kind == ROUTED:
                attempt.session = str(_document(payload).get("session", ""))
            elif kind == RESULT:
                result = _document(payload)
            elif kind == DATA:
                data.append(payload)
            elif kind == FAILED:
                document = _document(payload)
                outcome = Failure(str(document.get("type", "")), str(document.get("message", "")))
            if result and sum(map(len, data)) >= result.get("size", 0):
                outcome = _result(result, b"".join(data))
        if outcome is None:
            raise Broken("it ended its answer early")
        return outcome

    def _put_sandbox(self, identifier: str, document: dict[str, Any], authorized: list[tuple[str, str]]) -> None:
        headers = [*authorized, ("Content-Type", "application/json")]
        connection = self._asked("PUT", f"/live/sandboxes/{identifier}", headers, json.dumps(document).encode())
        head = connection.head()
        connection.whole(head)
        if head.status >= 300:
            raise Broken(f"the sandbox was not taken ({head.status})")

    def _authorized(self) -> list[tuple[str, str]]:
        """Return the header that goes with every request; fetch a token first where there is none for long enough."""
        if time.time() >= self._token_good_until:
            self._token, lifetime = self._fetched_token()
            self._token_good_until = time.time() + lifetime - min(REFRESH_S, lifetime / 2)
        return [("Authorization", f"Bearer {self._token}")]

    def _fetched_token(self) -> tuple[str, float]:
        settings = self.settings
        held = credentials(self.environment)
        url = presigned(self.environment, held, settings.region, self.origin.named, time.time())
        body = json.dumps({"function": settings.function, "stage": settings.stage, "url": url}).encode()
        connection = self._asked("POST", "/live/token", [("Content-Type", "application/json")], body)
        head = connection.head()
        answer = connection.whole(head)
        if head.status != 200:
            self._drop()
            if head.status in {429, 502, 503, 504}:
                raise NotReached(f"{self.origin.named}: no token ({head.status})")
            raise Refused(
                f"{self.origin.named} gives no token ({head.status}: {answer[:200].decode('utf-8', 'replace')})"
            )
        document = _document(answer)
        self._live = bool(document["live"]) if "live" in document else None
        return str(document["token"]), float(document["expires_in"])

    def _asked(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes = b"", attempt: Attempt | None = None
    ) -> Connection:
        """Send a request, on the connection that is there if it is still good, and return the one to read from."""
        connection = self._connection
        if connection is None or not connection.usable():
            self._drop()
            connection = self._connection = self.origin.connected(CONNECT_S)
        connection.silence(PATIENCE_S if attempt is None else SILENCE_S)
        if attempt is not None:
            attempt.said(time.monotonic())
        length = [] if method == "GET" else [("Content-Length", str(len(body)))]
        line = f"{method} {self.origin.path}{path} HTTP/1.1"
        connection.send(Head(line, [("Host", self.origin.named), *length, *headers]), body)
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rest(self, reason: str) -> None:
        """Leave the relay alone for a while; the log says why, once each time."""
        self._rests_until = time.time() + REST_S
        say(f"the deployed code answers: {reason}")


def _result(head: Mapping[str, Any], body: bytes) -> Result:
    """Return a result with the headers that a runtime posts, and no other."""
    headers = [
        (name, value)
        for name, value in head.get("headers", {}).items()
        if name.lower() in _POSTED and not set(value) & {"\r", "\n", "\0"}
    ]
    return Result("response" if head.get("kind") == "response" else "error", headers, body)


def _frames(connection: Connection, head: Head, attempt: Attempt) -> Iterator[tuple[int, bytes]]:
    """Yield the frames of a stream, each whole."""
    held = bytearray()
    for piece in connection.body(head):
        attempt.hears(time.monotonic())
        held += piece
        while len(held) >= _PREFIX.size:
            kind, length = _PREFIX.unpack_from(held)
            end = _PREFIX.size + length
            if len(held) < end:
                break
            yield kind, bytes(held[_PREFIX.size : end])
            del held[:end]


def _document(payload: bytes) -> dict[str, Any]:
    try:
        document = json.loads(payload)
    except ValueError:
        raise Broken("what it said is not JSON") from None
    if not isinstance(document, dict):
        raise Broken("what it said is not an object")
    return document
