"""One worker: a process that runs one function's code, and its Runtime API."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from stagedoor.live.agent_events import Imported, LogLine, OnEvent, WorkerEnded, WorkerStarted
from stagedoor.live.functions import Invocation, LiveFunction, Outcome, Sandbox, WorkerCommand
from stagedoor.live.lambda_errors import exited, how_it_ended, timed_out
from stagedoor.live.workers.environment import sort_of, worker_environment
from stagedoor.live.workers.outcome import own_error
from stagedoor.live.workers.output import Output, Printed
from stagedoor.live.workers.runtime_api import RuntimeApi

INIT_MS = 10_000
"""How long an invocation may wait for its worker without losing time of its own: Lambda's limit of the init phase
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib).
"""

_PIECE = 64 * 1024


class NotStarted(Exception):
    """The worker ended before it had taken the invocation: another may run it."""


class Worker:
    """A process of one function: `start` it, let it `go`, let it `invoke` one event after the other, `end` it.

    `preload` are the libraries that it has loaded and that a spare may load beforehand.
    """

    def __init__(
        self,
        function: LiveFunction,
        sandbox: Sandbox,
        credentials: Callable[[], Mapping[str, str]],
        on_event: OnEvent,
    ) -> None:
        self.sandbox = sandbox
        self.sort = sort_of(sandbox)
        self.generation = 0
        self.command: WorkerCommand | None = None
        self.preload: tuple[str, ...] = ()
        self._function = function
        self._on_event = on_event
        self._api = RuntimeApi(credentials, self._beginning)
        self._output = Output()
        self._reports = b""
        self._invocation: Invocation | None = None
        self._on_begin: Callable[[Invocation], None] = lambda _: None
        self._why = ""
        self._going_since: float | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._stdin = self._stdout = self._reporting = -1
        self._watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process's id; 0 before it is started."""
        return self._process.pid if self._process else 0

    @property
    def usable(self) -> bool:
        """Whether it may be given another invocation."""
        return bool(self._watching and not self._watching.done() and not self._why and self._api.init_error is None)

    async def start(self, command: WorkerCommand, machine: Mapping[str, str], preload: tuple[str, ...] = ()) -> None:
        """Start the process; it loads nothing of the function's own yet. Raises `OSError`."""
        await self._api.open()
        served = self._api.credentials_address if self.sandbox.credentials else None
        environment = worker_environment(self._function, self.sandbox, machine, served)
        environment |= {**command.environment, "AWS_LAMBDA_RUNTIME_API": self._api.address}
        try:
            self._process, reports = await self._spawn(command.argv, environment)
        except BaseException:
            self._close()
            raise
        self.command = command
        for descriptor, read in ((self._stdout, self._read_output), (self._reporting, self._read_reports)):
            os.set_blocking(descriptor, False)
            asyncio.get_running_loop().add_reader(descriptor, read)
        self._watching = asyncio.create_task(self._watch(self._process))
        self._say(json.dumps({"reports": reports, "preload": preload}))
        if self._why:  # ended while it was being started
            self._kill()

    async def _spawn(
        self, argv: tuple[str, ...], environment: Mapping[str, str]
    ) -> tuple[asyncio.subprocess.Process, int]:
        """Return the process, in a group of its own, and its descriptor for reports."""
        control, self._stdin = os.pipe()
        self._stdout, printing = os.pipe()
        self._reporting, reports = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=control,
                stdout=printing,
                stderr=printing,
                pass_fds=(reports,),
                cwd=self._function.root,
                env=environment,
                start_new_session=True,
            )
        finally:
            for descriptor in (control, printing, reports):
                os.close(descriptor)
        return process, reports

    def go(self) -> None:
        """Load the function's code and ask for invocations."""
        self._going_since = time.monotonic()
        self._api.ready.add_done_callback(lambda _: self._ready())
        self._say("go")

    async def invoke(self, invocation: Invocation, on_begin: Callable[[Invocation], None]) -> Outcome:
        """Run one invocation. Raises `NotStarted` if the process ended before it had taken it."""
        assert self._watching is not None  # noqa: S101
        self._invocation, self._on_begin = invocation, on_begin
        self._api.give(invocation)
        outcome, taken = self._api.outcome, self._api.taken
        try:
            while not outcome.done():
                now = time.time() * 1000
                left = self._deadline() - now
                if left <= 0:
                    await self.end("timed out")
                    return own_error(timed_out(invocation.request_id, _timeout(self.sandbox, invocation)))
                waiting: set[asyncio.Future[Any]] = {outcome, self._watching}
                if not taken.done():
                    # When it is taken decides when it must be done, but that is never before it would have been.
                    if now < invocation.deadline_ms:
                        left = min(left, invocation.deadline_ms - now)
                    else:
                        waiting.add(taken)
                await asyncio.wait(waiting, timeout=left / 1000, return_when=asyncio.FIRST_COMPLETED)
                if self._watching.done() and not outcome.done():
                    return self._outcome_of_its_end(invocation)
            self._read_output()
            return outcome.result()
        finally:
            self._api.take_back()
            self._print_rest()
            self._invocation = None

    async def end(self, why: str) -> None:
        """End the process and everything that it has started, at once, as Lambda does."""
        self._why = self._why or why
        self._kill()
        if self._watching:
            await asyncio.wait({self._watching})

    def _deadline(self) -> float:
        """Return when the invocation must be done: later by what it has to wait for the worker."""
        invocation = self._invocation
        assert invocation is not None  # noqa: S101
        if self._api.taken.done():
            return invocation.deadline_ms
        return min(invocation.deadline_ms + INIT_MS, invocation.limit_ms)

    def _beginning(self, invocation: Invocation) -> Invocation:
        """Return the invocation as its handler sees it, at the moment in which it is handed out."""
        waited = min(max(0, int(time.time() * 1000) - invocation.received_ms), INIT_MS)
        deadline = min(invocation.deadline_ms + waited, invocation.limit_ms)
        self._invocation = replace(invocation, deadline_ms=deadline)
        self._on_begin(self._invocation)
        return self._invocation

    def _outcome_of_its_end(self, invocation: Invocation) -> Outcome:
        if self._api.init_error is not None:
            now = int(time.time() * 1000)
            return replace(self._api.init_error, started_ms=now, ended_ms=now)
        if self._api.ready.done() and not self._api.taken.done():
            raise NotStarted
        status = self._process.returncode if self._process else None
        return own_error(exited(invocation.request_id, 0 if status is None else status))

    def _ready(self) -> None:
        if self._going_since is not None:
            self._on_event(WorkerStarted(self._function.name, self.pid, time.monotonic() - self._going_since))

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Wait for the end of the process, and leave nothing of it."""
        status = await process.wait()
        self._kill()  # what it has started ends with it, as in a sandbox
        self._read_output()
        self._read_reports()
        self._print_rest()
        self._close()
        self._why = self._why or ("failed" if self._api.init_error else how_it_ended(status))
        if self._going_since is not None:
            self._on_event(WorkerEnded(self._function.name, process.pid, self._why))

    def _close(self) -> None:
        for descriptor in (self._stdout, self._reporting):
            if descriptor >= 0:
                asyncio.get_running_loop().remove_reader(descriptor)
        for descriptor in (self._stdin, self._stdout, self._reporting):
            if descriptor >= 0:
                os.close(descriptor)
        self._stdin = self._stdout = self._reporting = -1
        self._api.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _say(self, line: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._stdin, line.encode() + b"\n")

    def _read_output(self) -> None:
        for piece in _pieces(self._stdout):
            for printed in self._output.add(piece):
                self._print(printed)

    def _print_rest(self) -> None:
        for printed in self._output.flush():
            self._print(printed)

    def _print(self, printed: Printed) -> None:
        attempt = self._invocation.attempt if self._invocation and self._api.taken.done() else None
        self._on_event(LogLine(self._function.name, attempt, printed.text, printed.level))

    def _read_reports(self) -> None:
        for piece in _pieces(self._reporting):
            *lines, self._reports = (self._reports + piece).split(b"\n")
            for report in map(json.loads, lines):
                self.preload += tuple(report.get("libraries", ()))
                self._on_event(Imported(self._function.name, frozenset(report["files"])))


def _pieces(descriptor: int) -> list[bytes]:
    """Return what is in a pipe now. One that was closed at the other end is no longer looked at."""
    pieces: list[bytes] = []
    with contextlib.suppress(OSError):
        while descriptor >= 0:
            piece = os.read(descriptor, _PIECE)
            if not piece:
                asyncio.get_running_loop().remove_reader(descriptor)
                break
            pieces.append(piece)
            if len(piece) < _PIECE:
                break
    return pieces


def _timeout(sandbox: Sandbox, invocation: Invocation) -> float:
    """Return the function's own timeout in seconds, for the error's text."""
    said = sandbox.environment.get("STAGEDOOR_LIVE_TIMEOUT", "")
    return float(said) if said.isdecimal() else round((invocation.deadline_ms - invocation.received_ms) / 1000, 2)
