"""Requests reach Flask whole: a slow sender costs memory for a while, never a thread.

Flask answers on a few threads. One that waits for the rest of a body is lost to everybody else, and anybody can send
slowly: sixteen such connections would keep every webhook out.
"""

import asyncio
from collections.abc import Sequence

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_SECONDS = 10.0  # GitHub itself waits no longer for an answer


class WholeBodies:
    """Reads each request's body to its end, or to one byte more than is taken, before it hands the request on."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 408 when the body takes too long."""
        if scope["type"] != "http" or self._is_announced_too_large(scope):
            await self._app(scope, receive, send)
            return
        try:
            parts = await asyncio.wait_for(self._read(receive), BODY_SECONDS)
        except TimeoutError:
            await PlainTextResponse("The body took too long.", 408, {"Connection": "close"})(scope, receive, send)
            return
        await self._app(scope, _replay(parts, receive), send)

    def _is_announced_too_large(self, scope: Scope) -> bool:
        """Tell whether Flask will refuse the body by its length alone, without reading it."""
        length = dict(scope["headers"]).get(b"content-length", b"")
        return length.isdigit() and int(length) > self._limit

    async def _read(self, receive: Receive) -> list[Message]:
        parts: list[Message] = []
        size = 0
        while size <= self._limit:
            message = await receive()
            parts.append(message)
            size += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body", False):
                break
        return parts


def _replay(parts: Sequence[Message], receive: Receive) -> Receive:
    waiting = iter(parts)

    async def next_part() -> Message:
        return next(waiting, None) or await receive()

    return next_part
