"""Lambda's end of a function, as far as a runtime can see it: the Runtime API, the bootstrap, freezing left out.

Written from https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and runtimes-extensions-api.html, and held
against the source of AWS's Runtime Interface Emulator (`internal/lambda/rapi`), whose states and statuses it has:

| endpoint | answers |
|---|---|
| GET  /2018-06-01/runtime/invocation/next | 200 with the event and `Lambda-Runtime-*`; 403 when one is under way |
| POST /2018-06-01/runtime/invocation/ID/response | 202; 400 InvalidRequestID; 403 InvalidStateTransition; 413 |
| POST /2018-06-01/runtime/invocation/ID/error | 202; 400 InvalidRequestID; 403 InvalidStateTransition |
| POST /2018-06-01/runtime/init/error | 202; 403 InvalidStateTransition once an event was asked for |
| GET  /2018-06-01/runtime/restore/next, POST …/restore/error | with SnapStart alone: 200; 202 |
| POST /2020-01-01/extension/register, GET …/event/next | 200 with `Lambda-Extension-Identifier` |
"""

import asyncio
import json
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

LARGEST = 6 * 1024 * 1024 + 100
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:notes"

BOOTSTRAP = """\
if [ -z "$AWS_LAMBDA_EXEC_WRAPPER" ]; then exec "$@"; fi
exec "$AWS_LAMBDA_EXEC_WRAPPER" "$@"
"""
"""What /var/runtime/bootstrap of a managed runtime does with the wrapper."""


@dataclass
class Outcome:
    """What the caller gets: the payload, and what `X-Amz-Function-Error` would be about."""

    payload: bytes
    error: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)

    @property
    def document(self) -> Any:
        return json.loads(self.payload)


class Sandbox:
    """One execution environment: starts the runtime's command, gives it events, and restarts it when it has ended."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], *, timeout_s: float = 60, code: Path | None = None
    ) -> None:
        self.command, self.timeout_s, self.code = command, timeout_s, code
        self.environment = dict(environment)
        self.process: asyncio.subprocess.Process | None = None
        self.requests: list[str] = []
        self.output = b""
        self.init_errors: list[Outcome] = []
        self._state = "stopped"
        self._events: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
        self._current = ""
        self._outcome: Outcome | None = None
        self._done: asyncio.Event = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._serve())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, coroutine: Any, timeout: float = 120) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return future.result(timeout)

    def init(self) -> str:
        """Start it as a cold start does, and return the state that it comes to: `ready`, `init error`, `exited`."""
        return str(self._run(self._init()))

    def invoke(
        self, event: Any = None, *, raw: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Outcome:
        """Return what an invocation comes to; the runtime is started first where none is there."""
        outcome: Outcome = self._run(self._invoke(json.dumps(event).encode() if raw is None else raw, headers or {}))
        return outcome

    def terminate(self) -> int:
        """Shut it down as Lambda does where extensions are registered; return what the process ended with."""

        async def terminated() -> int:
            process = self.process
            process.terminate()
            status: int = await asyncio.wait_for(process.wait(), 10)
            await asyncio.sleep(0.05)
            return status

        return int(self._run(terminated()))

    @property
    def log(self) -> str:
        return self.output.decode(errors="replace")

    async def _init(self) -> str:
        environment = {"PATH": os.environ["PATH"], "AWS_LAMBDA_RUNTIME_API": self.address, **self.environment}
        self._state, self.arrived = "starting", asyncio.Event()
        process = self.process = await asyncio.create_subprocess_exec(
            "sh", "-c", BOOTSTRAP, "bootstrap", *self.command,
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, cwd=self.code,
        )  # fmt: skip
        self._watch = asyncio.create_task(self._watched(process))
        await asyncio.wait_for(self.arrived.wait(), 30)
        return self._state

    async def _watched(self, process: asyncio.subprocess.Process) -> None:
        async def read() -> None:
            while piece := await process.stdout.read(65536):
                self.output += piece

        reading = asyncio.create_task(read())
        status = await process.wait()
        if process is not self.process:
            return
        how = f"exit status {status}" if status >= 0 else f"signal: {signal.strsignal(-status)}".lower()
        words = (
            f"Error: Runtime exited with error: {how}" if status else "Error: Runtime exited without providing a reason"
        )
        if self._current and self._outcome is None:
            self._outcome = own_error("Runtime.ExitError", f"RequestId: {self._current} {words}")
        self._state = "exited"
        self.process = None
        self.arrived.set()
        self._done.set()
        await asyncio.wait([reading], timeout=0.2)
        reading.cancel()

    async def _invoke(self, event: bytes, more: Mapping[str, str]) -> Outcome:
        self._current, self._outcome, self._done = str(uuid.uuid4()), None, asyncio.Event()
        deadline = int((time.time() + self.timeout_s) * 1e3)
        headers = {
            "Lambda-Runtime-Aws-Request-Id": self._current,
            "Lambda-Runtime-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
            "Lambda-Runtime-Deadline-Ms": str(deadline),
            "Content-Type": "application/json",
            **more,
        }
        await self._events.put((headers, event))
        if self.process is None:
            await self._init()
        try:
            await asyncio.wait_for(self._done.wait(), self.timeout_s)
        except TimeoutError:
            words = f"RequestId: {self._current} Error: Task timed out after {self.timeout_s:.2f} seconds"
            self._outcome = own_error("Sandbox.Timedout", words)
            await self._kill()
        while not self._events.empty():
            self._events.get_nowait()
        self._current = ""
        assert self._outcome is not None
        return self._outcome

    async def _kill(self) -> None:
        process, self.process = self.process, None
        if process is not None and process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _stop(self) -> None:
        await self._kill()
        await self._runner.cleanup()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        runtime = "/2018-06-01/runtime"
        app.router.add_get(f"{runtime}/invocation/next", self._next)
        app.router.add_post(runtime + "/invocation/{id}/response", self._response)
        app.router.add_post(runtime + "/invocation/{id}/error", self._error)
        app.router.add_post(f"{runtime}/init/error", self._init_error)
        app.router.add_get(f"{runtime}/restore/next", self._restore_next)
        app.router.add_post("/2020-01-01/extension/register", self._register)
        big = 2 * 1024 * 1024
        self._runner = web.AppRunner(
            app, max_line_size=big, max_field_size=big, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def _next(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("next")
        if self._state == "running":
            return _problem(
                403, "InvalidStateTransition", "Transition from RuntimeRunning to RuntimeReady is not allowed"
            )
        if self._outcome is not None:
            self._done.set()
        self._state = "ready"
        self.arrived.set()
        headers, event = await self._events.get()
        self._state = "running"
        if len(event) < 2048:
            return web.Response(body=event, headers=headers)
        answer = web.StreamResponse(headers=headers)  # as Go does with what is longer: chunked, without a length
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        await answer.write(event)
        await answer.write_eof()
        return answer

    async def _response(self, request: web.Request) -> web.Response:
        self.requests.append("response")
        if refused := self._refused(request, "RuntimeInvocationResponse"):
            return refused
        payload = await request.read()
        streamed = request.headers.get("Lambda-Runtime-Function-Response-Mode") == "streaming"
        if len(payload) > LARGEST and not streamed:
            words = f"Response payload size exceeded maximum allowed payload size ({LARGEST} bytes)."
            self._ends(own_error("Function.ResponseSizeTooLarge", words))
            return _problem(413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({LARGEST} bytes).")
        self._ends(Outcome(payload, "", dict(request.headers)))
        return web.json_response({"status": "OK"}, status=202)

    async def _error(self, request: web.Request) -> web.Response:
        self.requests.append("error")
        if refused := self._refused(request, "RuntimeInvocationErrorResponse"):
            return refused
        self._ends(Outcome(await request.read(), "Unhandled", dict(request.headers)))
        return web.json_response({"status": "OK"}, status=202)

    def _refused(self, request: web.Request, wanted: str) -> web.Response | None:
        if not self._current or request.match_info["id"] != self._current:
            return _problem(400, "InvalidRequestID", "Invalid request ID")
        if self._state != "running":
            return _problem(403, "InvalidStateTransition", f"State transition from {self._state} to {wanted} failed")
        return None

    def _ends(self, outcome: Outcome) -> None:
        self._state, self._outcome = "responded", outcome

    async def _init_error(self, request: web.Request) -> web.Response:
        self.requests.append("init/error")
        if self._state != "starting":
            return _problem(403, "InvalidStateTransition", f"State transition from {self._state} to InitError failed")
        outcome = Outcome(await request.read(), "Unhandled", dict(request.headers))
        self.init_errors.append(outcome)
        self._state = "init error"
        if self._current:
            self._outcome = outcome  # an initialization that is part of an invocation is answered by its error
        self.arrived.set()
        return web.json_response({"status": "OK"}, status=202)

    async def _restore_next(self, request: web.Request) -> web.Response:
        self.requests.append("restore/next")
        return web.Response()

    async def _register(self, request: web.Request) -> web.Response:
        self.requests.append("extension/register")
        body = {"functionName": "notes", "functionVersion": "$LATEST", "handler": "app.handler"}
        return web.json_response(body, headers={"Lambda-Extension-Identifier": str(uuid.uuid4())})


def own_error(kind: str, message: str) -> Outcome:
    """An error that Lambda itself reports."""
    return Outcome(
        json.dumps({"errorType": kind, "errorMessage": message}, separators=(",", ":")).encode(), "Unhandled"
    )


def _problem(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"errorType": kind, "errorMessage": message}, status=status)
