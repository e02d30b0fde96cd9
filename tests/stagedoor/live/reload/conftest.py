"""A repository whose functions are live: an agent on a scripted relay, real workers, and what reloads them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagedoor.live.agent import Agent
from stagedoor.live.agent_events import AgentEvent
from stagedoor.live.local_code import LocalCode
from stagedoor.live.reload import BuildFailed, Reloaded
from stagedoor.live.sources.model import FunctionSource
from stagedoor.synth.dependencies import Environment
from tests.stagedoor.live.agent.scripted_relay import Result, ScriptedRelay

SANDBOX = {
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
    "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
}
CACHE = Path(__file__).parents[4] / ".stagedoor" / "live-tests"


@dataclass
class Repository:
    """A folder of sources whose functions are connected."""

    root: Path
    relay: ScriptedRelay
    code: LocalCode
    sandboxes: dict[str, str] = field(default_factory=dict)
    reloaded: list[Reloaded | BuildFailed] = field(default_factory=list)
    events: list[AgentEvent] = field(default_factory=list)

    async def ask(self, function: str = "f", event: object = None) -> Any:
        """What the function returns, or the type of its error."""
        document = (await self.result(function, event)).document
        return document["errorType"] if isinstance(document, dict) and "errorType" in document else document

    async def result(self, function: str = "f", event: object = None) -> Result:
        return await self.relay.invoke(function, event, sandbox=self.sandboxes[function])

    async def until(self, answer: object, function: str = "f", seconds: float = 20) -> None:
        """Ask until the function answers so."""
        async with asyncio.timeout(seconds):
            while (got := await self.ask(function)) != answer:
                await asyncio.sleep(0.02)
        assert got == answer

    async def save(self, path: str, text: str) -> None:
        """Save a file and return when that was noticed, as it was before the next request of somebody at a keyboard."""
        before = len(self.reloaded)
        write(self.root, {path: text})
        async with asyncio.timeout(20):
            while len(self.reloaded) == before:
                await asyncio.sleep(0.001)


def write(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def source(root: Path, handler: str, runtime: str = "python3.12", **more: Any) -> FunctionSource:
    return FunctionSource(f"App/{handler}", runtime, handler, root, **more)


@asynccontextmanager
async def connected(
    root: Path, sources: dict[str, FunctionSource], installed: Environment | None = None, **more: Any
) -> AsyncIterator[Repository]:
    """The functions, live; `installed` is what any lock file of theirs leads to."""
    code = LocalCode(root, CACHE, lambda folder: installed or Environment(), **more)
    async with ScriptedRelay() as relay, contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(code.close)
        repository = Repository(root, relay, code)
        functions = await code.prepare(sources)
        assert not code.left
        reloader = await code.reloader(repository.reloaded.append)

        def on_event(event: AgentEvent) -> None:
            repository.events.append(event)
            reloader.on_event(event)

        async def token(_renew: bool) -> str:
            return "a stage token"

        agent = Agent(relay.url, token, functions, code.command, on_event=on_event, debug=more.get("debug", ()))
        tasks = [asyncio.create_task(agent.run()), asyncio.create_task(reloader.run(agent))]
        try:
            await asyncio.wait_for(reloader.ready(), 10)
            for name in functions:
                repository.sandboxes[name] = await relay.sandbox(name, SANDBOX)
            yield repository
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
