"""What open streams look at, read together: all that ask at one moment are answered by one statement.

A stream is a coroutine that looks again and again. Were each to ask the database by itself, a hundred of them would
keep the threads that do so busy; streams of one run or plan read the same chunks of its log, too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import select

from service.models import Outcome, PlanRow, Run, Stage
from service.parts import Parts
from service.stages.journal import read_chunk

LOOK_SECONDS = 0.4
_GATHERING_SECONDS = 0.02

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class RunGlance:
    """How a run stands."""

    id: int
    stage_id: int
    generation: int
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class StageGlance:
    """How a stage stands."""

    id: int
    wanted_generation: int
    done_generation: int


class Gathered(Generic[K, V]):
    """Answers for keys that are asked for at the same time, by one call on a thread."""

    def __init__(self, read: Callable[[list[K]], Mapping[K, V]]) -> None:
        self._read = read
        self._asked: dict[K, asyncio.Future[V | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, key: K) -> Awaitable[V | None]:
        """Return what is known of a key; None where nothing is."""
        loop = asyncio.get_running_loop()
        if not self._asked:
            task = loop.create_task(self._answer())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        future = self._asked.get(key)
        if future is None:
            future = self._asked[key] = loop.create_future()
        # One stream that ends while it waits must not take the answer from the others.
        return asyncio.shield(future)

    async def _answer(self) -> None:
        await asyncio.sleep(_GATHERING_SECONDS)
        asked, self._asked = self._asked, {}
        try:
            found = await asyncio.to_thread(self._read, list(asked))
        except Exception as error:
            for future in asked.values():
                future.set_exception(error)
                future.exception()  # whoever asked may be gone
            return
        for key, future in asked.items():
            future.set_result(found.get(key))


class Glances:
    """What streams ask. Of one event loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._runs = Gathered(self._read_runs)
        self._stages = Gathered(self._read_stages)
        self._next_runs = Gathered(self._read_next_runs)
        self._plans = Gathered(self._read_plans)
        self._chunks: Gathered[tuple[str, int], list[dict[str, Any]]] = Gathered(self._read_chunks)

    async def run(self, run_id: int) -> RunGlance | None:
        """Return how a run stands; None when there is none."""
        return await self._runs.ask(run_id)

    async def stage(self, stage_id: int) -> StageGlance | None:
        """Return how a stage stands; None when there is none."""
        return await self._stages.ask(stage_id)

    async def next_run(self, stage_id: int, generation: int, after: int) -> RunGlance | None:
        """Return the stage's first run after the run `after` that is for this generation or a later one."""
        return await self._next_runs.ask((stage_id, generation, after))

    async def plan_is_over(self, plan_id: int) -> bool:
        """Return whether nothing will be added to a plan, or there is none."""
        return await self._plans.ask(plan_id) is not False

    async def chunk(self, prefix: str, number: int) -> list[dict[str, Any]] | None:
        """Return the events of a chunk of a log; None as long as it is not written."""
        return await self._chunks.ask((prefix, number))

    async def pause(self) -> None:
        """Wait until all streams look again, which they do together."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(LOOK_SECONDS - loop.time() % LOOK_SECONDS)

    def _read_runs(self, ids: list[int]) -> dict[int, RunGlance]:
        columns = select(Run.id, Run.stage_id, Run.generation, Run.outcome)
        with self._parts.sessions() as session:
            return {row.id: RunGlance(*row) for row in session.execute(columns.where(Run.id.in_(ids)))}

    def _read_stages(self, ids: list[int]) -> dict[int, StageGlance]:
        columns = select(Stage.id, Stage.wanted_generation, Stage.done_generation)
        with self._parts.sessions() as session:
            return {row.id: StageGlance(*row) for row in session.execute(columns.where(Stage.id.in_(ids)))}

    def _read_next_runs(self, asked: list[tuple[int, int, int]]) -> dict[tuple[int, int, int], RunGlance]:
        columns = select(Run.id, Run.stage_id, Run.generation, Run.outcome).order_by(Run.id).limit(1)
        found: dict[tuple[int, int, int], RunGlance] = {}
        with self._parts.sessions() as session:
            for stage, generation, after in asked:
                wanted = (Run.stage_id == stage, Run.generation >= generation, Run.id > after)
                if first := session.execute(columns.where(*wanted)).one_or_none():
                    found[stage, generation, after] = RunGlance(*first)
        return found

    def _read_plans(self, ids: list[int]) -> dict[int, bool]:
        columns = select(PlanRow.id, PlanRow.outcome)
        with self._parts.sessions() as session:
            return {row.id: row.outcome is not None for row in session.execute(columns.where(PlanRow.id.in_(ids)))}

    def _read_chunks(self, asked: list[tuple[str, int]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
        read = {(prefix, number): read_chunk(self._parts.blobs, prefix, number) for prefix, number in asked}
        return {key: events for key, events in read.items() if events is not None}
