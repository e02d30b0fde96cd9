"""Which worker runs which invocation: one for each at a time, kept warm, as Lambda does with its sandboxes."""

import asyncio
import os
import time
from collections.abc import Awaitable, Collection, Mapping
from typing import Any

from stagedoor.live.agent_events import InvocationFinished, InvocationStarted, OnEvent
from stagedoor.live.functions import Commands, Invocation, LiveFunction, Outcome, Sandbox
from stagedoor.live.workers.function_workers import FunctionWorkers
from stagedoor.live.workers.outcome import error_of
from stagedoor.live.workers.worker import NotStarted

_SPARES = 4
"""How many functions have spares: those that were invoked last."""


class WorkerPool:
    """All workers of an agent; at most `concurrency` at work or warm, whatever functions they are of."""

    def __init__(
        self,
        functions: Mapping[str, LiveFunction],
        commands: Commands,
        concurrency: int,
        on_event: OnEvent,
        *,
        debug: Collection[str] = (),
        machine: Mapping[str, str] = os.environ,
    ) -> None:
        self._functions = {
            name: FunctionWorkers(function, commands, machine, on_event, single=name in debug)
            for name, function in functions.items()
        }
        self._on_event = on_event
        self._concurrency = concurrency
        self._free = asyncio.Semaphore(concurrency)
        self._invoked: dict[str, None] = {}
        self._waiting: dict[str, asyncio.Task[Any]] = {}

    def serves(self, function: str) -> bool:
        """Whether a function's code is here."""
        return function in self._functions

    def has_sandbox(self, sandbox: Sandbox) -> None:
        """Take what AWS's side says of a sandbox."""
        if of := self._functions.get(sandbox.function):
            of.has_sandbox(sandbox)

    async def run(self, invocation: Invocation) -> Outcome:
        """Run an invocation on a worker that it has to itself, and return what became of it.

        Raises `UserError` and `OSError` where no worker can be started.
        """
        of = self._functions[invocation.function]
        if task := asyncio.current_task():
            self._waiting[invocation.attempt] = task
        async with of.turn, self._free:
            while True:
                self._make_room(of, invocation.sandbox)
                worker = await of.take(invocation.sandbox)
                try:
                    outcome = await worker.invoke(invocation, self._begun)
                except NotStarted:
                    continue
                finally:
                    of.give_back(worker)
                break
        self._waiting.pop(invocation.attempt, None)
        self._keep_spares(invocation.function)
        self._finished(invocation, outcome)
        return outcome

    def give_up(self, attempt: str) -> None:
        """Cancel the task that runs an invocation, unless a worker has taken it: then it is finished, as in Lambda."""
        if task := self._waiting.pop(attempt, None):
            task.cancel()

    def reload(self, functions: Collection[str] | None, after: Awaitable[None] | None) -> None:
        """Have what comes from now on answered by code that is loaded once `after` is done; all functions if None."""
        whole = None if after is None else asyncio.ensure_future(after)
        for name, of in self._functions.items():
            if functions is None or name in functions:
                of.reload(None if whole is None else asyncio.shield(whole))

    async def close(self) -> None:
        """End every worker, whatever it is doing."""
        await asyncio.gather(*(of.close() for of in self._functions.values()))

    def _make_room(self, wanted: FunctionWorkers, sandbox: str) -> None:
        """End what is idle while there are as many as there may be and none that would do, other functions' first."""
        if wanted.fitting(sandbox):
            return
        functions = [*(of for of in self._functions.values() if of is not wanted), wanted]
        while sum(len(of.alive) for of in functions) >= self._concurrency and any(of.end_one() for of in functions):
            pass

    def _keep_spares(self, function: str) -> None:
        self._invoked.pop(function, None)
        self._invoked[function] = None
        for older in list(self._invoked)[:-_SPARES]:
            del self._invoked[older]
            self._functions[older].drop_spares()
        self._functions[function].keep_spares()

    def _begun(self, invocation: Invocation) -> None:
        self._waiting.pop(invocation.attempt, None)
        waited = max(0, int(time.time() * 1000) - invocation.received_ms)
        event = InvocationStarted(
            invocation.attempt, invocation.function, invocation.request_id, invocation.event, waited
        )
        self._on_event(event)

    def _finished(self, invocation: Invocation, outcome: Outcome) -> None:
        event = InvocationFinished(
            invocation.attempt,
            invocation.function,
            invocation.request_id,
            outcome.ended_ms - outcome.started_ms,
            len(outcome.body),
            error_of(outcome),
        )
        self._on_event(event)
