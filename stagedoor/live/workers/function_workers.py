"""The workers of one function: idle ones, one that waits to be the next, and what a reload does to them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Mapping

from stagedoor.errors import UserError
from stagedoor.live.agent_events import OnEvent
from stagedoor.live.functions import Commands, LiveFunction, Sandbox, WorkerCommand
from stagedoor.live.workers.environment import sort_of
from stagedoor.live.workers.worker import Worker

_NODE_SPARES = 2
"""Spares of a function of Node: an event that arrives between a save and its being noticed takes one for the old code,
and Node takes two tenths of a second to start another. Python is quicker; of it one is kept.
"""

_SANDBOXES = 1000
"""How many sandboxes of a function are remembered: AWS has one for each concurrent invocation."""


class FunctionWorkers:
    """Workers of one function. `single` where a debugger listens on one port: then there is one at a time.

    A *spare* is a process that has its runtime client and the libraries of earlier workers loaded, but nothing of the
    function's own, so that it is as good after a reload as before.
    """

    def __init__(
        self,
        function: LiveFunction,
        commands: Commands,
        machine: Mapping[str, str],
        on_event: OnEvent,
        *,
        single: bool = False,
    ) -> None:
        self.function = function
        self.idle: list[Worker] = []
        self.alive: set[Worker] = set()
        self.single = single
        self.turn = asyncio.Semaphore(1) if single else contextlib.nullcontext()
        self._commands = commands
        self._machine = machine
        self._on_event = on_event
        self._generation = 0
        self._sandboxes: dict[str, Sandbox] = {}
        self._newest = Sandbox("", function.name)
        self._sorts: dict[str, tuple[tuple[str, str], ...]] = {}
        self._preload: tuple[str, ...] = ()
        self._spares: list[Worker] = []
        self._building: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def has_sandbox(self, sandbox: Sandbox) -> None:
        """Take what AWS's side says of a sandbox; its credentials are the function's newest."""
        self._sandboxes.pop(sandbox.id, None)
        self._sandboxes[sandbox.id] = self._newest = sandbox
        self._sorts[sandbox.id] = sort_of(sandbox)
        while len(self._sandboxes) > _SANDBOXES:
            oldest = next(iter(self._sandboxes))
            del self._sandboxes[oldest], self._sorts[oldest]

    async def take(self, sandbox: str) -> Worker:
        """Return a worker for an invocation of a sandbox: the one that had that sandbox's last, if it is idle.

        Waits for the new code while there is a reload. Raises `UserError` and `OSError` where none can be started.
        """
        while self._building and not self._building.done():
            await asyncio.wait({self._building})
        wanted = self._sandboxes.get(sandbox, self._newest)
        fitting = self.fitting(sandbox)
        same = [worker for worker in fitting if worker.sandbox.id == wanted.id]
        for worker in (same or fitting)[-1:]:
            self.idle.remove(worker)
            return worker
        return await self._started(wanted)

    def fitting(self, sandbox: str) -> list[Worker]:
        """Return the idle workers that could run an invocation of a sandbox: those with the same environment."""
        sort = self._sorts.get(sandbox)
        if sort is None:
            sort = self._sorts.get(self._newest.id, ())
        return [worker for worker in self.idle if worker.usable and worker.sort == sort]

    def give_back(self, worker: Worker) -> None:
        """Keep a worker warm, unless it is of no more use."""
        self._preload = worker.preload or self._preload
        if worker.usable and worker.generation == self._generation:
            self.idle.append(worker)
        else:
            self._end(worker, "reloaded")

    def reload(self, after: Awaitable[None] | None) -> None:
        """Run what comes from now on by code that is loaded once `after` is done, though nobody asks for it yet.

        A worker that is at work finishes what it has.
        """
        self._generation += 1
        eager = bool(self.alive) or (self._building is not None and not self._building.done())
        for worker in list(self.idle):
            self._end(worker, "reloaded")
        self._building = self._task(self._build(self._building, after, self._generation, eager=eager))

    def end_one(self) -> bool:
        """End the worker that has been idle longest; False if none is."""
        if not self.idle:
            return False
        self._end(self.idle[0], "idle")
        return True

    def keep_spares(self) -> None:
        """Have as many spares as there should be."""
        wanted = _NODE_SPARES if self.function.runtime.startswith("nodejs") else 1
        while len(self._spares) < wanted and not self.single:
            worker = self._worker(self._newest)
            self._spares.append(worker)
            self._task(self._start_spare(worker))

    def drop_spares(self) -> None:
        """Have no spare."""
        while self._spares:
            self._end(self._spares.pop(), "idle")

    async def close(self) -> None:
        """End every worker, whatever it is doing."""
        if self._building:
            self._building.cancel()
        self.drop_spares()
        await asyncio.gather(*(worker.end("stopped") for worker in list(self.alive)))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _started(self, sandbox: Sandbox) -> Worker:
        command = await self._commands(self.function)
        if self.single:
            await asyncio.gather(*(worker.end("reloaded") for worker in list(self.alive)))
        worker = self._taken_spare(command, sandbox)
        if worker is None:
            worker = self._worker(sandbox)
            await worker.start(command, self._machine, self._preload)
        worker.generation = self._generation
        self.alive.add(worker)
        worker.go()
        return worker

    def _taken_spare(self, command: WorkerCommand, sandbox: Sandbox) -> Worker | None:
        """Return a spare that would do for a sandbox; those before it that would not, end."""
        while self._spares:
            worker = self._spares.pop(0)
            if worker.usable and worker.command == command and worker.sort == sort_of(sandbox):
                return worker
            self._end(worker, "idle")
        return None

    async def _build(
        self, before: asyncio.Task[None] | None, after: Awaitable[None] | None, generation: int, *, eager: bool
    ) -> None:
        if before:
            await asyncio.wait({before})
        with contextlib.suppress(UserError, OSError):  # whoever asks for a worker is told
            if after:
                await after
            if eager and generation == self._generation and not (self.single and self.alive):
                self.idle.append(await self._started(self._newest))

    async def _start_spare(self, worker: Worker) -> None:
        try:
            await worker.start(await self._commands(self.function), self._machine, self._preload)
        except (UserError, OSError):
            if worker in self._spares:
                self._spares.remove(worker)

    def _worker(self, sandbox: Sandbox) -> Worker:
        return Worker(self.function, sandbox, lambda: self._newest.credentials, self._on_event)

    def _end(self, worker: Worker, why: str) -> None:
        self.alive.discard(worker)
        if worker in self.idle:
            self.idle.remove(worker)
        self._task(worker.end(why))

    def _task(self, work: "Awaitable[None]") -> "asyncio.Task[None]":
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)  # noqa: S101
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
