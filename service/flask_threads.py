"""Flask on threads, behind asyncio: each request reaches a thread whole, and its answer leaves it whole.

A thread that waits for the rest of a body is lost to everybody else, and anybody can send slowly: sixteen such
connections would keep every webhook out. A slow sender costs memory for a while here, never a thread, and all of them
together a bounded share of it. a2wsgi's own middleware hands bodies over piece by piece while the thread waits; only
its environ is used.

The API asks GitHub who may do what, and a GitHub that does not answer holds a thread for a minute. So the API has
threads of its own: webhooks and health checks, which ask nobody but the database, do not stand behind it. Of these no
address has all, so that whoever needs no GitHub (machines, runs) does not wait for one who does.
"""

import asyncio
import contextvars
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from a2wsgi.wsgi import build_environ
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from service.access.errors import AccessError
from service.api.limits import Turns
from service.api.problems import PROBLEM, BodyTooSlow, headers_of, problem_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

BODY_SECONDS = 10.0  # GitHub itself waits no longer for an answer
ROOM_BYTES = 128 * 1024 * 1024  # of bodies that are held at once: a web task of infra/ has 1 GB for all it does
ALWAYS_TAKEN_BYTES = 64 * 1024  # of one body; nearly every webhook has less


class _Gone(Exception):
    """The sender hung up before its request was complete."""


class NoRoom(AccessError):
    """Larger bodies than can be held are on their way at this moment."""

    id = "no-room"
    status = 503

    def __init__(self) -> None:
        super().__init__("The service is being sent too much at this moment.", "Try again in some seconds.")


@dataclass(slots=True)
class _Body:
    """What has come of a body."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def whole(self) -> bytes:
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class FlaskThreads:
    """An ASGI application that answers with a WSGI one. Of bodies it reads `limit` bytes and one more, which is how the
    application sees that one is too large. `threads` answer the API, three in four at most for one address, and as many
    all the rest; `room` is how many bytes of bodies are held at once, those that wait for a thread among them.
    """

    def __init__(self, app: "WSGIApplication", limit: int, threads: int, room: int = ROOM_BYTES) -> None:
        self._app = app
        self._limit = limit
        self._room = room
        self._held = 0
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="flask")
        self._api_threads = ThreadPoolExecutor(threads, thread_name_prefix="flask-api")
        self._turns = Turns(each=max(1, threads * 3 // 4))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 408 when its body takes too long, 503 when there is no room for it, nothing when the
        sender is gone.
        """
        if scope["type"] != "http":
            return
        body = _Body()
        try:
            answer = await self._answered(scope, receive, body)
        except _Gone:
            return
        except AccessError as refused:
            await _refusal(scope, refused)(scope, receive, send)
            return
        finally:
            self._held -= body.size
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answered(self, scope: Scope, receive: Receive, body: _Body) -> _Answer:
        """Read the body into `body` and have a thread answer. Raises `BodyTooSlow`, `NoRoom` and `_Gone`."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                if not self._is_announced_too_large(scope):
                    await self._read(receive, body)
        except TimeoutError:
            raise BodyTooSlow from None
        if not _is_of_api(scope):
            return await self._on(self._threads, scope, body)
        async with self._turns.of(scope):
            return await self._on(self._api_threads, scope, body)

    async def _on(self, threads: ThreadPoolExecutor, scope: Scope, body: _Body) -> _Answer:
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(threads, run, self._answer, scope, body.whole())

    def _is_announced_too_large(self, scope: Scope) -> bool:
        """Tell whether the application will refuse the body by its length alone, without reading it."""
        length = dict(scope["headers"]).get(b"content-length", b"")
        return length.isdigit() and int(length) > self._limit

    async def _read(self, receive: Receive, body: _Body) -> None:
        while body.size <= self._limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            part = message.get("body", b"")
            body.parts.append(part)
            body.size += len(part)
            self._held += len(part)
            if not message.get("more_body", False):
                break
            if body.size > ALWAYS_TAKEN_BYTES and self._held > self._room:
                raise NoRoom

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


def _is_of_api(scope: Scope) -> bool:
    return str(scope["path"]).startswith("/api/")


def _refusal(scope: Scope, refused: AccessError) -> Response:
    """Return what is told of a body that is not read to its end: the connection is of no use after that."""
    problem, status = problem_of(refused)
    headers = {**headers_of(refused, status), "Connection": "close"}
    if _is_of_api(scope):
        return JSONResponse(problem, status, headers, media_type=PROBLEM)
    return PlainTextResponse(f"{refused.what}\n", status, headers)
