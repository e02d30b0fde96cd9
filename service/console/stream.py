"""A run's events as a stream (server-sent events), for the page that follows it and for curl.

Ids are the keys of chunks, so that a browser whose connection broke resumes after the last chunk it has
(`Last-Event-ID`, https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from service.console.access import REALM, may_read
from service.models import Run
from service.parts import Parts
from service.stages.journal import events_prefix, read_events

POLL_SECONDS = 0.4
KEEP_ALIVE_SECONDS = 15.0


def event_stream(parts: Parts) -> Route:
    """Return the route `GET /runs/{run_id}/events`."""

    async def answer(request: Request) -> Response:
        if not may_read(parts.settings, request.headers):
            return PlainTextResponse("unauthorized", 401, {"WWW-Authenticate": REALM})
        run_id: int = request.path_params["run_id"]
        if not await asyncio.to_thread(_exists, parts, run_id):
            return PlainTextResponse("no such run", 404)
        after = request.headers.get("last-event-id", "")
        if not after.startswith(events_prefix(run_id)):
            after = ""
        return StreamingResponse(
            _follow(parts, run_id, after),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return Route("/runs/{run_id:int}/events", answer)


async def _follow(parts: Parts, run_id: int, after: str) -> AsyncIterator[str]:
    quiet = 0.0
    while True:
        # Asked before reading: what was written before the run ended is then surely read.
        outcome = await asyncio.to_thread(_outcome, parts, run_id)
        chunks = await asyncio.to_thread(_read, parts, run_id, after)
        for key, events in chunks:
            after = key
            yield f"id: {key}\ndata: {json.dumps(events, ensure_ascii=False)}\n\n"
        if outcome is not None:
            yield f"event: end\ndata: {json.dumps(outcome)}\n\n"
            return
        quiet = 0.0 if chunks else quiet + POLL_SECONDS
        if quiet >= KEEP_ALIVE_SECONDS:
            quiet = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(POLL_SECONDS)


def _read(parts: Parts, run_id: int, after: str) -> list[tuple[str, list[dict[str, Any]]]]:
    return list(read_events(parts.blobs, run_id, after))


def _exists(parts: Parts, run_id: int) -> bool:
    with parts.sessions() as session:
        return session.scalar(select(Run.id).where(Run.id == run_id)) is not None


def _outcome(parts: Parts, run_id: int) -> str | None:
    with parts.sessions() as session:
        outcome = session.scalar(select(Run.outcome).where(Run.id == run_id))
    return outcome.value if outcome else None
