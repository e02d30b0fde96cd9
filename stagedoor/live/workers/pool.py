"""Which worker runs which invocation: one for each at a time, kept warm, as Lambda does with its sandboxes."""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from stagedoor.live.agent_events import InvocationFinished, InvocationStarted, OnEvent
from stagedoor.live.functions import Commands, Invocation, LiveFunction, Outcome, Sandbox
from stagedoor.live.workers.environment import sort_of
from stagedoor.live.workers.outcome import error_of
from stagedoor.live.workers.worker import NotStarted, Worker


@dataclass(slots=True)
class _Function:
    """One function's workers, and the sandboxes that AWS has of it. `generation` goes up with each reload."""

    function: LiveFunction
    generation: int = 0
    sandboxes: dict[str, Sandbox] = field(default_factory=dict)
    newest: Sandbox | None = None
    idle: list[Worker] = field(default_factory=list)
    generation_of: dict[Worker, int] = field(default_factory=dict)


class WorkerPool:
    """All workers of an agent; at most `concurrency` at once, whatever functions they are of."""

    def __init__(
        self,
        functions: Mapping[str, LiveFunction],
        commands: Commands,
        concurrency: int,
        on_event: OnEvent,
        machine: Mapping[str, str] | None = None,
    ) -> None:
        self._functions = {name: _Function(function) for name, function in functions.items()}
        self._commands = commands
        self._machine = os.environ if machine is None else machine
        self._on_event = on_event
        self._free = asyncio.Semaphore(concurrency)
        self._concurrency = concurrency
        self._alive: set[Worker] = set()

    def serves(self, function: str) -> bool:
        """Whether a function's code is here."""
        return function in self._functions

    def has_sandbox(self, sandbox: Sandbox) -> None:
        """Take what AWS's side says of a sandbox; its credentials are the function's newest."""
        of = self._functions.get(sandbox.function)
        if of is not None:
            of.sandboxes[sandbox.id] = of.newest = sandbox

    async def run(self, invocation: Invocation) -> Outcome:
        """Run an invocation on a worker that it has to itself, and return what became of it."""
        of = self._functions[invocation.function]
        async with self._free:
            while True:
                worker = await self._worker(of, of.sandboxes.get(invocation.sandbox, of.newest))
                try:
                    outcome = await worker.invoke(invocation, self._begun)
                except NotStarted:
                    continue
                finally:
                    self._give_back(of, worker)
                self._finished(invocation, outcome)
                return outcome

    async def reload(self, functions: frozenset[str] | None = None) -> None:
        """Let no invocation that comes from now on be run by code that was loaded before; all functions if None.

        A worker that is at work finishes what it has.
        """
        for name, of in self._functions.items():
            if functions is None or name in functions:
                of.generation += 1
                for worker in list(of.idle):
                    self._end(of, worker, "reloaded")

    async def close(self) -> None:
        """End every worker, whatever it is doing."""
        await asyncio.gather(*(worker.end("stopped") for worker in list(self._alive)))

    async def _worker(self, of: _Function, sandbox: Sandbox | None) -> Worker:
        sort = sort_of(sandbox)
        fitting = [worker for worker in of.idle if worker.usable and sort_of(worker.sandbox) == sort]
        same = [worker for worker in fitting if worker.sandbox and sandbox and worker.sandbox.id == sandbox.id]
        for worker in (same or fitting)[-1:]:
            of.idle.remove(worker)
            return worker
        self._make_room()
        return await self._started(of, sandbox)

    async def _started(self, of: _Function, sandbox: Sandbox | None) -> Worker:
        worker = Worker(of.function, sandbox, lambda: of.newest.credentials if of.newest else {}, self._on_event)
        of.generation_of[worker] = of.generation
        self._alive.add(worker)
        await worker.start(await self._commands(of.function), self._machine)
        worker.go()
        return worker

    def _make_room(self) -> None:
        """End idle workers until there is room for one more."""
        for of in self._functions.values():
            while of.idle and len(self._alive) >= self._concurrency:
                self._end(of, of.idle[0], "idle")

    def _give_back(self, of: _Function, worker: Worker) -> None:
        if not worker.usable:
            self._forget(of, worker)
        elif of.generation_of[worker] != of.generation:
            self._end(of, worker, "reloaded")
        else:
            of.idle.append(worker)

    def _end(self, of: _Function, worker: Worker, why: str) -> None:
        self._forget(of, worker)
        ending = asyncio.create_task(worker.end(why))
        _ENDING.add(ending)
        ending.add_done_callback(_ENDING.discard)

    def _forget(self, of: _Function, worker: Worker) -> None:
        self._alive.discard(worker)
        of.generation_of.pop(worker, None)
        if worker in of.idle:
            of.idle.remove(worker)

    def _begun(self, invocation: Invocation) -> None:
        waited = max(0, int(time.time() * 1000) - invocation.received_ms)
        self._on_event(
            InvocationStarted(invocation.attempt, invocation.function, invocation.request_id, invocation.event, waited)
        )

    def _finished(self, invocation: Invocation, outcome: Outcome) -> None:
        self._on_event(
            InvocationFinished(
                invocation.attempt,
                invocation.function,
                invocation.request_id,
                outcome.ended_ms - outcome.started_ms,
                len(outcome.body),
                error_of(outcome),
            )
        )


_ENDING: set[asyncio.Task[None]] = set()
"""Workers that are being ended; asyncio itself holds its tasks only weakly."""
