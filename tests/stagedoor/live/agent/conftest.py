"""An agent on a scripted relay, with real workers."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from stagedoor.live.agent import Agent
from stagedoor.live.agent_events import AgentEvent
from stagedoor.live.functions import LiveFunction
from stagedoor.live.python_worker.command import PythonCommands, look_at
from stagedoor.live.tunnel import Tokens
from tests.stagedoor.live.agent.scripted_relay import Result, ScriptedRelay

PYTHON = Path(sys.executable)
HANDLERS = Path(__file__).parent / "handlers"


@dataclass
class Live:
    """A connected agent and its relay; `events` is what the agent said."""

    relay: ScriptedRelay
    agent: Agent
    running: asyncio.Task[None]
    sandbox: str = ""
    events: list[AgentEvent] = field(default_factory=list)

    async def invoke(self, event: object = None, function: str = "f", **more: Any) -> Result:
        more.setdefault("sandbox", self.sandbox)
        return await self.relay.invoke(function, event, **more)

    def said(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def printed(self) -> list[str]:
        return [line.text for line in self.events if type(line).__name__ == "LogLine"]

    async def until(self, true: Callable[[], object], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def commands_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that has awslambdaric and boto3 for this Python."""
    cache = tmp_path_factory.mktemp("cache")
    asyncio.run(look_at(PYTHON, cache))
    return cache


Connect = Callable[..., Any]


@pytest.fixture
def live(commands_cache: Path) -> Connect:
    """Connect an agent: `async with live({"f": "module.handler"}, root) as stage`."""

    @asynccontextmanager
    async def connect(
        handlers: Mapping[str, str], root: Path = HANDLERS, environment: Mapping[str, str] | None = None,
        credentials: Mapping[str, str] | None = None, tokens: Tokens | None = None, **more: Any,
    ) -> AsyncIterator[Live]:  # fmt: skip
        functions = {
            name: LiveFunction(name, handler, "python3.12", root, PYTHON) for name, handler in handlers.items()
        }
        events: list[AgentEvent] = []

        async def always(_renew: bool) -> str:
            return "a stage token"

        async with ScriptedRelay() as relay:
            more |= {"on_event": events.append}
            agent = Agent(relay.url, tokens or always, functions, PythonCommands(commands_cache), **more)
            running = asyncio.create_task(agent.run())
            stage = Live(relay, agent, running, events=events)
            try:
                stage.sandbox = await relay.sandbox("f", environment or {}, credentials)
                yield stage
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running

    return connect
