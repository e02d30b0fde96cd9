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

from aiohttp import web

from stagedoor.live.functions import Invocation, Outcome
from stagedoor.live.lambda_errors import LARGEST_RESPONSE, FunctionError, too_large
from stagedoor.live.workers.outcome import ERROR_TYPE, own_error

_BASE = "/2018-06-01/runtime"
_LARGEST_HEADER = 1024 * 1024 + 1024
"""awslambdaric sends what X-Ray is told of an error in a header of up to 1 MiB."""

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
        self._server = web.Server(self._answer, max_field_size=_LARGEST_HEADER, access_log=None)
        self._listening: asyncio.Server | None = None
        self._closed = False
        self._given: Invocation | None = None
        self._arrived = asyncio.Event()
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
        self._listening = await asyncio.get_running_loop().create_server(self._server, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and break what is open."""
        if self._listening:
            self._listening.close()
        self._closed = True
        self._arrived.set()  # a handler that waits would be waited for
        await self._server.shutdown(0.01)  # 0 would be for ever

    def give(self, invocation: Invocation) -> None:
        """Hand out an invocation with the next `/next`."""
        self.taken = asyncio.get_running_loop().create_future()
        self.outcome = asyncio.get_running_loop().create_future()
        self._given = invocation
        self._arrived.set()

    def take_back(self) -> None:
        """Do not hand out what was given."""
        self._given = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Host") != self.address or "Origin" in request.headers:
            return web.Response(status=403)
        match request.method, request.path.removeprefix(_BASE).split("/")[1:]:
            case "GET", ["invocation", "next"]:
                return await self._next(request)
            case "POST", ["invocation", request_id, "response" | "error" as what]:
                return await self._result(request, request_id, what)
            case "POST", ["init", "error"]:
                return await self._init_failed(request)
            case "GET", ["credentials"]:
                return self._give_credentials(request)
        return web.Response(status=404, text="404 page not found\n")

    async def _next(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.taken.done() and not self.outcome.done():
            return _refused(403, "InvalidStateTransition", "State transition from Running to Ready failed")
        if not self.ready.done():
            self.ready.set_result(None)
        while (given := self._given) is None and not self._closed:
            self._arrived.clear()
            await self._arrived.wait()
        if given is None or request.transport is None or request.transport.is_closing():
            return web.Response(status=503)
        self._given = None
        self._request_id, given = given.request_id, self._may_start(given)
        self._started_ms = int(time.time() * 1000)
        self.taken.set_result(None)
        return web.Response(body=given.event, headers=_next_headers(given))

    async def _result(self, request: web.BaseRequest, request_id: str, what: str) -> web.StreamResponse:
        body = await _body(request)
        outcome = self.outcome
        if not self.taken.done() or outcome.done() or request_id != self._request_id:
            return _refused(400, "InvalidRequestID", "Invalid request ID")
        if body is None:
            outcome.set_result(replace(own_error(too_large()), started_ms=self._started_ms))
            message = f"Exceeded maximum allowed payload size ({LARGEST_RESPONSE} bytes)."
            return _refused(413, "RequestEntityTooLarge", message)
        if request.headers.get("Lambda-Runtime-Function-Response-Mode"):
            outcome.set_result(replace(own_error(_STREAMED), started_ms=self._started_ms))
            return _refused(400, "InvalidFunctionResponseMode", "Invalid function response mode")
        kind: Literal["response", "error"] = "response" if what == "response" else "error"
        headers = _result_headers(request.headers)
        outcome.set_result(Outcome(kind, body, headers, self._started_ms, int(time.time() * 1000)))
        return _accepted()

    async def _init_failed(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.ready.done():
            return _refused(403, "InvalidStateTransition", "State transition from Ready to InitError failed")
        self.init_error = Outcome("error", await _body(request) or b"", _result_headers(request.headers))
        return _accepted()

    def _give_credentials(self, request: web.BaseRequest) -> web.Response:
        if not secrets.compare_digest(request.headers.get("Authorization", ""), self._token):
            return web.json_response({"code": "AccessDenied", "message": "This is another worker's."}, status=403)
        until = (datetime.now(UTC) + _CREDENTIALS_LAST).strftime("%Y-%m-%dT%H:%M:%SZ")
        # A local AWS has keys without a session's token, and boto3 reads no document without one.
        return web.json_response({"Token": "", "Expiration": until} | dict(self._credentials()))


async def _body(request: web.BaseRequest) -> bytes | None:
    """Return the request's body; None if it has more than Lambda takes. It is read to its end in any case."""
    pieces: list[bytes] = []
    size = 0
    while piece := await request.content.readany():
        size += len(piece)
        if size <= LARGEST_RESPONSE:
            pieces.append(piece)
    return b"".join(pieces) if size <= LARGEST_RESPONSE else None


def _next_headers(invocation: Invocation) -> dict[str, str]:
    """Return the headers of `/next`; awslambdaric crashes where there is no `Content-Type`."""
    headers = {"Content-Type": "application/json"}
    headers |= {name: _on_the_wire(value) for name, value in invocation.headers.items()}
    headers["Lambda-Runtime-Aws-Request-Id"] = invocation.request_id
    headers["Lambda-Runtime-Deadline-Ms"] = str(invocation.deadline_ms)
    return headers


def _result_headers(headers: Mapping[str, str]) -> dict[str, str]:
    kept = {"Content-Type": "application/json"} | {name: headers[name] for name in _PASSED_ON if headers.get(name)}
    if len(kept.get(_CAUSE, "")) > _LARGEST_CAUSE:
        del kept[_CAUSE]
    return {name: value.encode("utf-8", "surrogateescape").decode("latin-1") for name, value in kept.items()}


def _on_the_wire(value: str) -> str:
    """Return a header's value as aiohttp takes it, which writes UTF-8; in the tunnel a character is a byte."""
    return value.encode("latin-1", "replace").decode("utf-8", "replace")


def _accepted() -> web.Response:
    return web.Response(status=202, body=b'{"status":"OK"}\n', content_type="application/json")


def _refused(status: int, kind: str, message: str) -> web.Response:
    body = json.dumps({"errorMessage": message, "errorType": kind})
    return web.Response(status=status, body=body.encode(), content_type="application/json")
