"""What runs say, as a stream: one run, or all that bring a stage to what is wanted of it."""

import asyncio
import time
from collections.abc import AsyncIterator

from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response

from service.access.callers import Caller, Right
from service.access.errors import Forbidden, GitHubAway, UnknownRun, UnknownStage
from service.api.bodies import StreamQuery
from service.api.cursor import Cursor
from service.api.door import Door
from service.api.event_stream import Quiet, event_stream, events, message
from service.api.glances import RunGlance
from service.api.operation import EVENT_STREAM, declare
from service.api.rows import error_answer, run_answer, runs_of, stage_answer
from service.models import Intent, Outcome, Run, RunKind, Want
from service.parts import Parts
from service.stages.journal import events_prefix
from service.stages.rows import FINAL

_READY = {Outcome.SUCCEEDED, Outcome.UNCHANGED}


@declare("GET", "/runs/{run_id}/stream", tag="runs", answer=EVENT_STREAM, problems=(Forbidden, GitHubAway, UnknownRun))
async def stream_run(door: Door, request: Request, caller: Caller, run_id: int) -> Response:
    """Follow a run.

    First an event `run` with the run; then what it says, each event named after its kind and with the data of GET
    /runs/{run_id}/events; last an event `end`: outcome, run, generation, commit, status, outputs, url, changed, error.
    """
    await door.asking(door.access.let_into_run, caller, run_id, Right.READ)
    cursor = Cursor.read(request.headers.get("last-event-id"))

    async def said() -> AsyncIterator[str]:
        run = await door.glances.run(run_id)
        if run is not None:
            async for event in _run(door, run, cursor if cursor and cursor.about == run_id else None):
                yield event
            yield await asyncio.to_thread(_end, door.parts, run.stage_id, run_id, run.generation)

    return event_stream(request, said())


@declare(
    "GET",
    "/stages/{stage_id}/stream",
    tag="stages",
    answer=EVENT_STREAM,
    problems=(Forbidden, GitHubAway, UnknownStage),
)
async def stream_stage(door: Door, request: Request, caller: Caller, stage_id: int, query: StreamQuery) -> Response:
    """Follow the runs that bring a stage to a generation.

    As GET /runs/{run_id}/stream, for one run after the other until the stage is done with the generation: runs that
    were lost, superseded or failed by a fault that is not the app's are followed by another. `outcome` is `refused`,
    with no run, where there was nothing to run, and `superseded` where the stage was taken away instead, or deployed
    instead of that.
    """
    await door.asking(door.access.let_into_stage, caller, stage_id, Right.READ)
    generation = query.generation
    if generation is None:
        stage = await door.glances.stage(stage_id)
        generation = stage.wanted_generation if stage else 0
    cursor = Cursor.read(request.headers.get("last-event-id"))
    return event_stream(request, _stage(door, stage_id, generation, cursor))


async def _stage(door: Door, stage_id: int, generation: int, cursor: Cursor | None) -> AsyncIterator[str]:
    quiet = Quiet(time.monotonic())
    resumed = await door.glances.run(cursor.about) if cursor else None
    if resumed is not None and (resumed.stage_id != stage_id or resumed.generation < generation):
        resumed = None
    after = 0
    while True:
        # Asked before looking for a run: what was begun before the stage was done is then surely found.
        stage = await door.glances.stage(stage_id)
        done = stage is None or stage.done_generation >= generation
        run = resumed or await door.glances.next_run(stage_id, generation, after)
        if run is None:
            if done:
                yield await asyncio.to_thread(_end, door.parts, stage_id, after or None, generation)
                return
            yield quiet.word()
            await door.glances.pause()
            continue
        place = cursor if resumed is not None else None
        after, resumed = run.id, None
        async for said in _run(door, run, place):
            yield said
        quiet.since = time.monotonic()
        ended, stage = await door.glances.run(run.id), await door.glances.stage(stage_id)
        if ended and ended.outcome in FINAL and stage and stage.done_generation >= generation:
            yield await asyncio.to_thread(_end, door.parts, stage_id, run.id, generation)
            return


async def _run(door: Door, run: RunGlance, place: Cursor | None) -> AsyncIterator[str]:
    """Yield what a run says after a place, or with the run itself before it (None), until its end."""
    if place is None:
        yield message("run", await asyncio.to_thread(_run_data, door.parts, run.id), Cursor(run.id))

    async def is_over() -> bool:
        now = await door.glances.run(run.id)
        return now is None or now.outcome is not None

    async for said in events(door, events_prefix(run.id), place or Cursor(run.id), is_over):
        yield said


def _run_data(parts: Parts, run_id: int) -> str:
    with parts.sessions() as session:
        (run,) = runs_of(session, [Run.id == run_id], None, 1)
        return run_answer(run, parts.settings.url).model_dump_json()


def _end(parts: Parts, stage_id: int, run_id: int | None, generation: int) -> str:
    """Return the last message: how it ended, and what the stage now is.

    A stage that was to be deployed and was taken away instead, by a later wish, ended well for nobody who waited.
    """
    with parts.sessions() as session:
        stage = stage_answer(session, stage_id, parts.settings.url)
        run = session.scalars(select(Run).where(Run.id == run_id)).one_or_none() if run_id else None
        wish = select(Intent.want).where(Intent.stage_id == stage_id, Intent.generation == generation)
        want = session.scalar(wish)
        error = error_answer(run)
    turned = run is not None and (run.kind is RunKind.REMOVE) != (want is Want.GONE)
    outcome = run.outcome.value if run and run.outcome else "refused"
    ready = run is not None and run.outcome in _READY and not turned
    return message(
        "end",
        {
            "outcome": Outcome.SUPERSEDED.value if turned else outcome,
            "run": run_id,
            "generation": run.generation if run else generation,
            "commit": run.commit if run else None,
            "status": stage.state if stage else "",
            "outputs": stage.outputs if stage and ready else {},
            "url": stage.url if stage and ready else "",
            "changed": ready and run is not None and run.outcome is Outcome.SUCCEEDED,
            "error": error.model_dump() if error else None,
        },
    )
