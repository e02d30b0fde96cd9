"""The real parts of a measurement: a service on SQLite, agents with workers, and what can be cut between them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.live.callers import Callers
from bench.live.wire import Wire
from bench.open_loop import wait_until_answering
from bench.peers import ROOT
from bench.webhooks import free_port
from service.access.tokens import FunctionToken, StageToken, Tokens
from service.database import make_engine, make_sessions, migrate
from service.relay.registry import LiveFunction, register
from service.settings import Settings
from tests.service.rows import add_stage

ACCOUNT = "000000000001"
HANDLERS = ("bench-echo", "bench-waits", "bench-notes", "bench-large", "bench-whose")
FUNCTIONS = (*HANDLERS, "bench-python", "bench-typescript")
ROLE = f"arn:aws:iam::{ACCOUNT}:role/bench-role"
_SECONDS = 60.0


class Service:
    """One `stagedoor serve` without workers, on SQLite, which can be ended and started again on its port."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        needed = {
            "STAGEDOOR_DATA_DIR": str(folder),
            "STAGEDOOR_GITHUB_APP_ID": "1",
            "STAGEDOOR_GITHUB_PRIVATE_KEY": "never used: nobody asks GitHub anything",
            "STAGEDOOR_GITHUB_WEBHOOK_SECRETS": "nobody sends a webhook here",
        }
        others = {name: value for name, value in os.environ.items() if not name.startswith(("STAGEDOOR_", "AWS_"))}
        self._environment = others | needed | environment
        self._process: subprocess.Popen[bytes] | None = None
        names = {name.removeprefix("STAGEDOOR_").lower(): value for name, value in needed.items()}
        settings = Settings(**names)
        self.tokens = Tokens.of(settings)
        engine = make_engine(settings.database)
        migrate(engine)
        with make_sessions(engine).begin() as session:
            self.stage_id = add_stage(session).id
            arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"
            register(session, self.stage_id, [LiveFunction(name, arn + name, ROLE, 60) for name in FUNCTIONS])
        engine.dispose()

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process
        return self._process.pid

    async def start(self) -> None:
        """Start it, and return when it answers."""
        command = [sys.executable, "-m", "stagedoor.cli", "serve", "--workers=0", f"--port={self.port}"]
        with (self.folder / "serve.log").open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, cwd=ROOT)
        await asyncio.to_thread(wait_until_answering, self.port, _SECONDS)

    async def stop(self) -> None:
        """End it as a deployment of the service would (SIGTERM), and return when it has ended."""
        assert self._process
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, _SECONDS)

    async def replace(self, wires: Sequence[Wire]) -> None:
        """Start another at a new port, let those who come through these proxies find it there, and end this one."""
        old, self.port = self._process, free_port()
        await self.start()
        for wire in wires:
            wire.to = self.port
        assert old
        old.terminate()
        await asyncio.to_thread(old.wait, _SECONDS)

    def function_tokens(self) -> dict[str, str]:
        """Return what the bridge of each function would have proven itself for."""
        return {name: self.tokens.mint(FunctionToken(self.stage_id, name)) for name in FUNCTIONS}

    def stage_token(self, developer: str) -> str:
        """Return what a developer would have logged in for."""
        return self.tokens.mint(StageToken(self.stage_id, developer))


class AgentProcess:
    """One developer's agent (`agent_process.py`). `said` are the lines that it has printed."""

    def __init__(self, settings: dict[str, Any], log: Path) -> None:
        self.said: list[list[Any]] = []
        self._settings = settings
        self._log = log
        self._more = asyncio.Condition()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process
        return self._process.pid

    async def start(self) -> None:
        """Start it, and return when it is connected."""
        command = [sys.executable, "-m", "bench.live.agent_process", json.dumps(self._settings)]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=log, cwd=ROOT
            )
        self._reading = asyncio.create_task(self._read(self._process))
        await self.until("connected")

    async def until(self, event: str, count: int = 1) -> None:
        """Return when it has said this so often."""
        async with asyncio.timeout(_SECONDS), self._more:
            await self._more.wait_for(lambda: self.count(event) >= count)

    def count(self, event: str) -> int:
        """Return how often it has said this."""
        return sum(line[0] == event for line in self.said)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it: as Ctrl-C does, or at once with SIGKILL."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(number)
        await self._process.wait()
        if self._reading:
            await self._reading

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        async for line in process.stdout:
            self.said.append(json.loads(line))
            async with self._more:
                self._more.notify_all()


class Place:
    """A running service, and what is started around it. Whatever was started here ends with it."""

    def __init__(self, folder: Path, service: Service, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.service = service
        self._stack = stack

    def callers(self, port: int = 0) -> Callers:
        """Return bridges of the service, or of a proxy before it."""
        made = Callers(port or self.service.port, self.service.function_tokens())
        self._stack.callback(made.close)
        return made

    async def agent(
        self,
        developer: str = "ann",
        *,
        port: int = 0,
        concurrency: int = 10,
        only: Sequence[str] | None = None,
        live: Mapping[str, Mapping[str, str]] | None = None,
    ) -> AgentProcess:
        """Start a developer's agent, and return when it is connected. `live`: these are its functions, and where."""
        settings = {
            "server": f"http://127.0.0.1:{port or self.service.port}",
            "token": self.service.stage_token(developer),
            "developer": developer,
            "functions": HANDLERS,
            "live": live,
            "concurrency": concurrency,
            "only": only,
        }
        made = AgentProcess(settings, self.folder / "agents.log")
        self._stack.push_async_callback(made.end)
        await made.start()
        return made

    async def wire(self) -> Wire:
        """Return a proxy before the service."""
        made = Wire(self.service.port)
        await made.start()
        self._stack.callback(made.close)
        return made


@asynccontextmanager
async def place(**environment: str) -> AsyncIterator[Place]:
    """Start a service in a folder of its own, with more in its environment, and end it."""
    with TemporaryDirectory(prefix="stagedoor-bench-") as name:
        async with AsyncExitStack() as stack:
            service = Service(Path(name), environment)
            await service.start()
            stack.push_async_callback(service.stop)
            yield Place(Path(name), service, stack)
