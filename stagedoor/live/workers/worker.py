"""One worker: a process that runs one function's code, and its Runtime API."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from stagedoor.live.agent_events import Imported, LogLine, OnEvent, WorkerEnded, WorkerStarted
from stagedoor.live.functions import Invocation, LiveFunction, Outcome, Sandbox, WorkerCommand
from stagedoor.live.lambda_errors import FunctionError, exited, how_it_ended, timed_out
from stagedoor.live.workers.environment import worker_environment
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
    """A process of one function. `start` it, tell it to `go`, let it `invoke` one event after the other, `end` it."""

    def __init__(
        self,
        function: LiveFunction,
        sandbox: Sandbox | None,
        credentials: Callable[[], Mapping[str, str]],
        on_event: OnEvent,
    ) -> None:
        self.function = function
        self.sandbox = sandbox
        self.ended = asyncio.Event()
        self._on_event = on_event
        self._api = RuntimeApi(credentials, self._beginning)
        self._output = Output()
        self._reports = b""
        self._invocation: Invocation | None = None
        self._why = ""
        self._told_to_go = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._stdin = self._stdout = self._reading = -1
        self._watching: asyncio.Task[None] | None = None
        self._on_begin: Callable[[Invocation], None] = lambda _: None

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid if self._process else 0

    @property
    def usable(self) -> bool:
        """Whether it may be given another invocation."""
        return not self._why and not self.ended.is_set() and self._api.init_error is None

    async def start(self, command: WorkerCommand, machine: Mapping[str, str], preload: tuple[str, ...] = ()) -> None:
        """Start the process; it loads nothing of the function's own yet."""
        await self._api.open()
        served = self._api.credentials_address if self.sandbox and self.sandbox.credentials else None
        sandbox = self.sandbox or Sandbox("", self.function.name)
        environment = worker_environment(self.function, sandbox, machine, served)
        environment |= command.environment | {"AWS_LAMBDA_RUNTIME_API": self._api.address}
        control, self._stdin = os.pipe()
        self._stdout, printing = os.pipe()
        self._reading, reporting = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=control,
                stdout=printing,
                stderr=printing,
                pass_fds=(reporting,),
                cwd=self.function.root,
                env=environment,
                start_new_session=True,
            )
        finally:
            for descriptor in (control, printing, reporting):
                os.close(descriptor)
        loop = asyncio.get_running_loop()
        for descriptor, read in ((self._stdout, self._read_output), (self._reading, self._read_reports)):
            os.set_blocking(descriptor, False)
            loop.add_reader(descriptor, read)
        self._watching = asyncio.create_task(self._watch())
        self._say({"reports": reporting, "preload": list(preload)})

    def go(self) -> None:
        """Load the function's code and ask for invocations."""
        self._told_to_go = time.monotonic()
        self._api.ready.add_done_callback(lambda _: self._started())
        self._say("go")

    async def invoke(self, invocation: Invocation, on_begin: Callable[[Invocation], None]) -> Outcome:
        """Run one invocation. Raises `NotStarted` if the process ended before it had taken it."""
        self._invocation, self._on_begin = invocation, on_begin
        outcome = self._api.give(invocation)
        ended = asyncio.ensure_future(self.ended.wait())
        try:
            while True:
                left = self._deadline() - time.time() * 1000
                await asyncio.wait({outcome, ended}, timeout=max(0, left) / 1000, return_when=asyncio.FIRST_COMPLETED)
                self._read_output()
                if outcome.done():
                    return outcome.result()
                if self.ended.is_set():
                    return self._of_its_end(invocation)
                if self._deadline() <= time.time() * 1000:
                    return await self._late(invocation)
        finally:
            self._say_rest()
            self._invocation = None
            ended.cancel()

    async def end(self, why: str) -> None:
        """End the process and everything that it has started, at once, as Lambda does."""
        self._why = self._why or why
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._process:
                os.killpg(self._process.pid, signal.SIGKILL)
        await self.ended.wait()

    def _deadline(self) -> float:
        """Return when the invocation must be done: later by what it had to wait for the worker."""
        invocation = self._invocation
        assert invocation is not None  # noqa: S101
        if self._api.has_started:
            return invocation.deadline_ms
        return min(invocation.deadline_ms + INIT_MS, invocation.limit_ms)

    def _beginning(self, invocation: Invocation) -> Invocation:
        """Return the invocation as its handler sees it, at the moment in which it is handed out."""
        waited = min(max(0, int(time.time() * 1000) - invocation.received_ms), INIT_MS)
        deadline = min(invocation.deadline_ms + waited, invocation.limit_ms)
        self._invocation = replace(invocation, deadline_ms=deadline)
        self._on_begin(self._invocation)
        return self._invocation

    def _of_its_end(self, invocation: Invocation) -> Outcome:
        if self._api.init_error is not None:
            now = int(time.time() * 1000)
            return replace(self._api.init_error, started_ms=now, ended_ms=now)
        status = self._process.returncode if self._process else 1
        if not self._api.has_started and self._api.ready.done():
            self._api.take_back()
            raise NotStarted
        return _error(exited(invocation.request_id, status or 0))

    async def _late(self, invocation: Invocation) -> Outcome:
        await self.end("timed out")
        seconds = _timeout(self.sandbox, invocation)
        return _error(timed_out(invocation.request_id, seconds))

    def _started(self) -> None:
        self._on_event(WorkerStarted(self.function.name, self.pid, time.monotonic() - self._told_to_go))

    async def _watch(self) -> None:
        assert self._process is not None  # noqa: S101
        status = await self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # what it has started ends with it, as a sandbox does
        loop = asyncio.get_running_loop()
        self._read_output()
        self._read_reports()
        self._say_rest()
        for descriptor in (self._stdout, self._reading):
            loop.remove_reader(descriptor)
        for descriptor in (self._stdin, self._stdout, self._reading):
            os.close(descriptor)
        self._stdin = self._stdout = self._reading = -1
        await self._api.close()
        self._why = self._why or ("failed" if self._api.init_error else how_it_ended(status))
        self.ended.set()
        self._on_event(WorkerEnded(self.function.name, self._process.pid, self._why))

    def _say(self, what: object) -> None:
        with contextlib.suppress(OSError):
            os.write(self._stdin, (what if isinstance(what, str) else json.dumps(what)).encode() + b"\n")

    def _read_output(self) -> None:
        for piece in self._pieces(self._stdout):
            for printed in self._output.add(piece):
                self._print(printed)

    def _say_rest(self) -> None:
        for printed in self._output.flush():
            self._print(printed)

    def _print(self, printed: Printed) -> None:
        attempt = self._invocation.attempt if self._invocation and self._api.has_started else None
        self._on_event(LogLine(self.function.name, attempt, printed.text, printed.level))

    def _read_reports(self) -> None:
        for piece in self._pieces(self._reading):
            *lines, self._reports = (self._reports + piece).split(b"\n")
            for line in lines:
                self._on_event(Imported(self.function.name, frozenset(json.loads(line)["files"])))

    def _pieces(self, descriptor: int) -> list[bytes]:
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


def _error(error: FunctionError) -> Outcome:
    now = int(time.time() * 1000)
    headers = {"Content-Type": "application/json", "Lambda-Runtime-Function-Error-Type": error.type}
    return Outcome("error", error.body(), headers, now, now)


def _timeout(sandbox: Sandbox | None, invocation: Invocation) -> float:
    """Return the function's own timeout in seconds, for the error's text."""
    said = sandbox.environment.get("STAGEDOOR_LIVE_TIMEOUT", "") if sandbox else ""
    return float(said) if said.isdecimal() else round((invocation.deadline_ms - invocation.received_ms) / 1000, 2)
