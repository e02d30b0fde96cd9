"""Stands in for awslambdaric's native `runtime_client`: same functions, same errors.

Unlike the native one it holds nothing up while it posts, lets signals be handled while it waits, and costs less.
Standard library only; Python 3.9 to 3.14. What the native one does: `awslambdaric/runtime_client.cpp`, and
`runtime.cpp` of aws-lambda-cpp.
"""

from __future__ import annotations

import os
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NEXT = "/2018-06-01/runtime/invocation/next"
_HEADERS = (
    "Lambda-Runtime-Aws-Request-Id",
    "Lambda-Runtime-Trace-Id",
    "Lambda-Runtime-Invoked-Function-Arn",
    "Lambda-Runtime-Client-Context",
    "Lambda-Runtime-Cognito-Identity",
    "Lambda-Runtime-Aws-Tenant-Id",
    "Lambda-Runtime-Invocation-Id",
    "Content-Type",
)
_CONNECT_SECONDS = 1.0


class _Client:
    """One keep-alive connection to the Runtime API, made anew where it has gone."""

    def __init__(self, user_agent: str) -> None:
        self.user_agent = user_agent
        self.address = os.environ.get("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001")
        self.connection: _Connection | None = None

    def ask(
        self, method: str, path: str, headers: list[str] | None = None, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers by their lower-case names, and body. Raises `OSError` and `ValueError`."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.address}", f"User-Agent: {self.user_agent}"]
        lines += headers or []
        if method == "POST":
            lines.append(f"Content-Length: {len(body)}")
        request = "\r\n".join([*lines, "", ""]).encode("utf-8") + body
        kept, self.connection = self.connection, None
        try:
            connection = kept or _Connection(self.address)
            line = connection.first_line(request)
        except _Unanswered:
            if kept is None:
                raise
            connection = _Connection(self.address)
            line = connection.first_line(request)
        status, found, answer = connection.rest(line)
        if found.get("connection", "").lower() != "close":
            self.connection = connection
        return status, found, answer


class _Connection:
    """A connection that has answered all that it was asked."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        # A name that is text is encoded by a codec that loads its tables first.
        where: Any = (host.encode("ascii"), int(port))
        self._socket = socket.create_connection(where, timeout=_CONNECT_SECONDS)
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")

    def first_line(self, request: bytes) -> bytes:
        """Send a request; return the first line of the answer. Raises `_Unanswered`."""
        try:
            self._socket.sendall(request)
            line = self._stream.readline()
        except OSError as error:
            raise _Unanswered from error
        if not line:
            raise _Unanswered
        return line

    def rest(self, line: bytes) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers by their lower-case names, and body."""
        status, headers = int(line.split()[1]), {}
        while (line := self._stream.readline().strip()) != b"":
            name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
            headers[name.strip().lower()] = value.strip()
        return status, headers, self._stream.read(int(headers.get("content-length", 0)))


class _Unanswered(OSError):
    """The connection was gone before anything came back."""


_client: _Client | None = None


def initialize_client(user_agent: str) -> None:
    """Say who asks."""
    global _client  # noqa: PLW0603
    _client = _Client(user_agent)


def next() -> tuple[bytes, dict[str, object]]:
    """Wait for an invocation; return its event and its headers. Raises `RuntimeError`."""
    if _client is None:
        raise RuntimeError("Client not yet initalized")
    try:
        status, headers, body = _client.ask("GET", _NEXT)
    except (OSError, ValueError):
        _log("Failed to get next invocation. No Response from endpoint")
        raise RuntimeError("Failed to get next") from None
    if not 200 <= status < 300:
        _log(f"Failed to get next invocation. Http Response code: {status}")
        raise RuntimeError("Failed to get next")
    if "lambda-runtime-aws-request-id" not in headers:
        _log("Failed to find header lambda-runtime-aws-request-id in response")
        raise RuntimeError("Failed to get next")
    found: dict[str, object] = {name: headers.get(name.lower()) or None for name in _HEADERS}
    found["Lambda-Runtime-Deadline-Ms"] = int(headers.get("lambda-runtime-deadline-ms", 0))
    found["Lambda-Runtime-Invoked-Function-Arn"] = headers.get("lambda-runtime-invoked-function-arn", "")
    return body, found


def post_invocation_result(
    invoke_id: str, result_data: bytes, content_type: str, invocation_id: str | None = None
) -> None:
    """Say what a handler returned. Raises `RuntimeError`."""
    if not (isinstance(result_data, bytes) and isinstance(content_type, str)):
        raise RuntimeError("Wrong arguments")
    _post(f"{invoke_id}/response", result_data, content_type, "", invocation_id, "Failed to post invocation response")


def post_error(invoke_id: str, error_data: str, xray_fault: str, invocation_id: str | None = None) -> None:
    """Say what a handler raised. Raises `RuntimeError`."""
    try:
        body, fault = error_data.encode("utf-8"), xray_fault.encode("utf-8").decode()
    except (AttributeError, UnicodeEncodeError):
        raise RuntimeError("Wrong arguments") from None
    _post(f"{invoke_id}/error", body, "application/json", fault, invocation_id, "Failed to post invocation error")


def _post(path: str, body: bytes, content_type: str, fault: str, invocation_id: str | None, failed: str) -> None:
    if _client is None:
        raise RuntimeError("Client not yet initalized")
    headers = [f"content-type: {content_type}", f"lambda-runtime-function-xray-error-cause: {fault}"]
    if invocation_id:
        headers.append(f"lambda-runtime-invocation-id: {invocation_id}")
    try:
        status, _, answer = _client.ask("POST", f"/2018-06-01/runtime/invocation/{path}", headers, body)
    except (OSError, ValueError):
        raise RuntimeError(failed) from None
    if not 200 <= status < 300:
        text = answer.decode("utf-8", "replace")
        _log(f"Failed to post handler success response. Http response code: {status}. {text}")
        raise RuntimeError(failed)


def _log(text: str) -> None:
    """Print as aws-lambda-cpp does."""
    sys.stderr.write(f"[ERROR] [{int(time.time() * 1000)}] LAMBDA_RUNTIME {text}\n")
    sys.stderr.flush()
