"""Flask on threads, behind asyncio: each request reaches a thread whole, and its answer leaves it whole.

A thread that waits for the rest of a body is lost to everybody else, and anybody can send slowly: sixteen such
connections would keep every webhook out. A slow sender costs memory for a while here, never a thread. a2wsgi's own
middleware hands bodies over piece by piece while the thread waits; only its environ is used.
"""

import asyncio
import contextvars
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from a2wsgi.wsgi import build_environ
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from service.api.problems import PROBLEM, BodyTooSlow, problem_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

BODY_SECONDS = 10.0  # GitHub itself waits no longer for an answer


class _Gone(Exception):
    """The sender hung up before its request was complete."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class FlaskThreads:
    """An ASGI application that answers with a WSGI one. Of bodies it reads `limit` bytes and one more, which is how the
    application sees that one is too large.
    """

    def __init__(self, app: "WSGIApplication", limit: int, threads: int) -> None:
        self._app = app
        self._limit = limit
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="flask")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 408 when its body takes too long, nothing when the sender is gone."""
        if scope["type"] != "http":
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = b"" if self._is_announced_too_large(scope) else await self._read(receive)
        except TimeoutError:
            await _too_slow(scope)(scope, receive, send)
            return
        except _Gone:
            return
        context = contextvars.copy_context()
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, context.run, self._answer, scope, body)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    def _is_announced_too_large(self, scope: Scope) -> bool:
        """Tell whether the application will refuse the body by its length alone, without reading it."""
        length = dict(scope["headers"]).get(b"content-length", b"")
        return length.isdigit() and int(length) > self._limit

    async def _read(self, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        while size <= self._limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if not message.get("more_body", False):
                break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _answer(self, scope: Scope, body: bytes) -> _Answer:
        environ = cast(dict[str, Any], build_environ(cast(Any, scope), cast(Any, io.BytesIO(body))))
        # The end of the input is the end of the body, also of one whose length nobody announced.
        environ["wsgi.input_terminated"] = True
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> Any:
            started[:] = [(status, headers)]
            return None

        content = self._app(environ, cast(Any, start_response))
        try:
            data = b"".join(content)
        finally:
            close = getattr(content, "close", None)
            if close is not None:
                close()
        status, headers = started[0]
        pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return _Answer(int(status.split(" ", 1)[0]), pairs, data)


def _too_slow(scope: Scope) -> Response:
    headers = {"Connection": "close"}
    if scope["path"].startswith("/api/"):
        problem, status = problem_of(BodyTooSlow())
        return JSONResponse(problem, status, headers, media_type=PROBLEM)
    return PlainTextResponse("The body took too long.", 408, headers)
