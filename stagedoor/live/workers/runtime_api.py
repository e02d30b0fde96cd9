"""The Runtime API of one worker: what its runtime client finds at `AWS_LAMBDA_RUNTIME_API`, on a port of its own.

It answers as Lambda does: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and where that is silent as
AWS's own emulator (github.com/aws/aws-lambda-runtime-interface-emulator, `internal/lambda/rapi`). It listens on
loopback only, and answers nobody who came by another name or from a web page.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from stagedoor.live.functions import Invocation, Outcome
from stagedoor.live.lambda_errors import LARGEST_RESPONSE, FunctionError, too_large
from stagedoor.live.workers.http_connection import HttpConnection, Request
from stagedoor.live.workers.outcome import ERROR_TYPE, own_error

_BASE = "/2018-06-01/runtime"
_JSON = {"Content-Type": "application/json"}
_CAUSE = "Lambda-Runtime-Function-XRay-Error-Cause"
_PASSED_ON = ("Content-Type", ERROR_TYPE, _CAUSE)
_LARGEST_CAUSE = 32 * 1024
"""Bytes of X-Ray's document that go on; a segment has 64 KB at most, and the emulator cuts it down as well."""

_CREDENTIALS_LAST = timedelta(minutes=20)
"""What SDKs are told where nobody knows how long they last: botocore asks again when 15 minutes are left."""

_STREAMED = FunctionError("Runtime.InvalidResponseModeHeader", "Streamed responses do not go through the tunnel.")


class RuntimeApi:
    """One worker's Runtime API; it holds at most one invocation.

    `ready` is done when the runtime first asks for an invocation; `init_error` is there when it could not load the
    function; `taken` is done when it has the invocation that was given, `outcome` when it has posted what came of it.
    """

    def __init__(
        self, credentials: Callable[[], Mapping[str, str]], may_start: Callable[[Invocation], Invocation]
    ) -> None:
        self._credentials = credentials
        self._may_start = may_start
        self._token = secrets.token_urlsafe(24)
        self._listening: asyncio.Server | None = None
        self._connections: set[HttpConnection] = set()
        self._given: Invocation | None = None
        self._asking: list[Request] = []  # requests for the next invocation
        self._request_id = ""
        self._started_ms = 0
        self.port = 0
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.init_error: Outcome | None = None
        self.taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    @property
    def address(self) -> str:
        """What `AWS_LAMBDA_RUNTIME_API` says."""
        return f"127.0.0.1:{self.port}"

    @property
    def credentials_address(self) -> tuple[str, str]:
        """Where the function's credentials are served, and the token that must be sent along."""
        return f"http://{self.address}/credentials", self._token

    async def open(self) -> None:
        """Listen on a free port."""
        self._listening = await asyncio.get_running_loop().create_server(self._connection, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop listening and break what is open."""
        if self._listening:
            self._listening.close()
        for connection in list(self._connections):
            connection.close()

    def give(self, invocation: Invocation) -> None:
        """Hand out an invocation with the next `/next`."""
        self.taken = asyncio.get_running_loop().create_future()
        self.outcome = asyncio.get_running_loop().create_future()
        self._given = invocation
        self._hand_out()

    def take_back(self) -> None:
        """Do not hand out what was given."""
        self._given = None

    def _connection(self) -> HttpConnection:
        connection = HttpConnection(self._answer, self._lost, LARGEST_RESPONSE)
        self._connections.add(connection)
        return connection

    def _lost(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        self._asking = [request for request in self._asking if request.connection is not connection]

    def _answer(self, request: Request) -> None:
        if request.headers.get("host") != self.address or "origin" in request.headers:
            request.answer(403, {})
            return
        match request.method, request.path.removeprefix(_BASE).split("/")[1:]:
            case "GET", ["invocation", "next"]:
                self._next(request)
            case "POST", ["invocation", request_id, "response" | "error" as what]:
                self._result(request, request_id, what)
            case "POST", ["init", "error"]:
                self._init_failed(request)
            case "GET", ["credentials"]:
                self._give_credentials(request)
            case _:
                request.answer(404, {"Content-Type": "text/plain"}, b"404 page not found\n")

    def _next(self, request: Request) -> None:
        if self.taken.done() and not self.outcome.done():
            _refuse(request, 403, "InvalidStateTransition", "State transition from Running to Ready failed")
            return
        if not self.ready.done():
            self.ready.set_result(None)
        self._asking.append(request)
        self._hand_out()

    def _hand_out(self) -> None:
        """Give what there is to give to who asks for it."""
        while self._asking and self._given is not None:
            request = self._asking.pop(0)
            if not request.connection.is_open:
                continue
            given, self._given = self._given, None
            self._request_id, given = given.request_id, self._may_start(given)
            self._started_ms = int(time.time() * 1000)
            self.taken.set_result(None)
            request.answer(200, _next_headers(given), given.event)

    def _result(self, request: Request, request_id: str, what: str) -> None:
        outcome = self.outcome
        if not self.taken.done() or outcome.done() or request_id != self._request_id:
            _refuse(request, 400, "InvalidRequestID", "Invalid request ID")
        elif request.body is None:
            outcome.set_result(replace(own_error(too_large()), started_ms=self._started_ms))
            message = f"Exceeded maximum allowed payload size ({LARGEST_RESPONSE} bytes)."
            _refuse(request, 413, "RequestEntityTooLarge", message)
        elif request.headers.get("lambda-runtime-function-response-mode"):
            outcome.set_result(replace(own_error(_STREAMED), started_ms=self._started_ms))
            _refuse(request, 400, "InvalidFunctionResponseMode", "Invalid function response mode")
        else:
            kind: Literal["response", "error"] = "response" if what == "response" else "error"
            headers = _result_headers(request.headers)
            outcome.set_result(Outcome(kind, request.body, headers, self._started_ms, int(time.time() * 1000)))
            _accept(request)

    def _init_failed(self, request: Request) -> None:
        if self.ready.done():
            message = "State transition from Ready to InitError failed"
            _refuse(request, 403, "InvalidStateTransition", message)
            return
        self.init_error = Outcome("error", request.body or b"", _result_headers(request.headers))
        _accept(request)

    def _give_credentials(self, request: Request) -> None:
        if not secrets.compare_digest(request.headers.get("authorization", "").encode(), self._token.encode()):
            _say(request, 403, {"code": "AccessDenied", "message": "This is another worker's."})
            return
        until = (datetime.now(UTC) + _CREDENTIALS_LAST).strftime("%Y-%m-%dT%H:%M:%SZ")
        # A local AWS has keys without a session's token, and boto3 reads no document without one.
        _say(request, 200, {"Token": "", "Expiration": until} | dict(self._credentials()))


def _next_headers(invocation: Invocation) -> dict[str, str]:
    """Return the headers of `/next`; awslambdaric crashes where there is no `Content-Type`."""
    headers = {"Content-Type": "application/json"} | dict(invocation.headers)
    headers["Lambda-Runtime-Aws-Request-Id"] = invocation.request_id
    headers["Lambda-Runtime-Deadline-Ms"] = str(invocation.deadline_ms)
    return headers


def _result_headers(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {"Content-Type": "application/json"}
    kept |= {name: value for name in _PASSED_ON if (value := headers.get(name.lower()))}
    if len(kept.get(_CAUSE, "")) > _LARGEST_CAUSE:
        del kept[_CAUSE]
    return kept


def _accept(request: Request) -> None:
    request.answer(202, _JSON, b'{"status":"OK"}\n')


def _refuse(request: Request, status: int, kind: str, message: str) -> None:
    _say(request, status, {"errorMessage": message, "errorType": kind})


def _say(request: Request, status: int, document: Mapping[str, str]) -> None:
    request.answer(status, _JSON, json.dumps(document).encode())
