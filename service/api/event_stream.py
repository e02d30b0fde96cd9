"""What runs and plans say, as a stream of server-sent events. An open stream is a coroutine, no thread.

Each event's id is its place (`cursor.py`), so that whoever was cut off goes on from there with `Last-Event-ID`
(https://html.spec.whatwg.org/multipage/server-sent-events.html). The last event is `end`; a stream that stops without
it is to be asked for again, which is also how it is seen, now and then, that its reader still may read.
"""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from service.api.cursor import Cursor
from service.api.door import Door
from service.api.operation import EVENT_STREAM

KEEP_ALIVE_SECONDS = 15.0
LONGEST_SECONDS = 900.0
_RETRY = "retry: 1000\n\n"  # milliseconds, for a browser


@dataclass(slots=True)
class Quiet:
    """Since when a stream has said nothing."""

    since: float

    def word(self) -> str:
        """Return a comment when it is time for one: proxies close what is silent."""
        if time.monotonic() - self.since < KEEP_ALIVE_SECONDS:
            return ""
        self.since = time.monotonic()
        return ": still here\n\n"


async def events(door: Door, prefix: str, place: Cursor, is_over: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
    """Yield what is said under a prefix of the store (`service.stages.journal`), after a place, until it is over."""
    quiet, cursor = Quiet(time.monotonic()), place
    while True:
        # Asked before reading: what was written before the end is then surely read.
        over = await is_over()
        while (said := await door.glances.chunk(prefix, cursor.chunk)) is not None:
            for event in said[cursor.index :]:
                cursor = cursor.after_event()
                yield message(str(event["kind"]), event, cursor)
            cursor = cursor.next_chunk()
            quiet.since = time.monotonic()
        if over:
            return
        yield quiet.word()
        await door.glances.pause()


def event_stream(request: Request, said: AsyncIterator[str]) -> Response:
    """Return an answer that says this, for as long as one connection may last."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    if request.method == "HEAD":
        return Response(media_type=EVENT_STREAM.type, headers=headers)
    return StreamingResponse(_bounded(said), media_type=EVENT_STREAM.type, headers=headers)


async def _bounded(said: AsyncIterator[str]) -> AsyncIterator[str]:
    until = time.monotonic() + LONGEST_SECONDS
    yield _RETRY
    async for one in said:
        if one:
            yield one
        if time.monotonic() > until:
            return


def message(kind: str, data: Any, cursor: Cursor | None = None) -> str:
    """Return an event; `data` may be JSON already."""
    place = f"id: {cursor}\n" if cursor else ""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"{place}event: {kind}\ndata: {text}\n\n"
