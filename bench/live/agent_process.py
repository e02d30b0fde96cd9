"""An agent as a process of its own, as `stagedoor dev` is: `python -m bench.live.agent_process SETTINGS` (JSON).

It prints a line of JSON, `[event, …]`, when it is connected, cut, has a worker ready, or watches the files of functions
that are named with their sources (`live`); SIGTERM ends it as Ctrl-C does.
"""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.peers import CACHE
from stagedoor.live import event_loop
from stagedoor.live.agent import Agent
from stagedoor.live.agent_events import AgentEvent, Connected, Cut, OnEvent, WorkerStarted
from stagedoor.live.functions import Commands, LiveFunction
from stagedoor.live.local_code import LocalCode
from stagedoor.live.python_worker.command import PythonCommands
from stagedoor.live.sources.model import FunctionSource
from stagedoor.synth.dependencies import Environment

HANDLERS = Path(__file__).with_name("handlers")


def local_function(name: str, **environment: str) -> LiveFunction:
    """Return one of the functions in `handlers/`: `bench-echo` is `app.echo`."""
    handler = "app." + name.removeprefix("bench-")
    # From 3.12 on, awslambdaric writes answers in UTF-8, by the name of the runtime; before, it escapes all but ASCII.
    return LiveFunction(name, handler, "python3.13", HANDLERS, Path(sys.executable), environment=environment)


def main() -> None:
    """Serve until SIGTERM."""
    event_loop.run(_serve(json.loads(sys.argv[1])))


async def _serve(settings: dict[str, Any]) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)  # type: ignore[union-attr]
    with suppress(asyncio.CancelledError):
        if settings["live"]:
            await _serve_sources(settings)
        else:
            functions = {name: local_function(name, DEVELOPER=settings["developer"]) for name in settings["functions"]}
            await _agent(settings, functions, PythonCommands(CACHE), _say).run()


async def _serve_sources(settings: dict[str, Any]) -> None:
    """Serve functions from where their sources are, and reload them as these change."""
    sources = {name: _source(name, said) for name, said in settings["live"].items()}
    code = LocalCode(Path(settings["live"]["bench-python"]["root"]).parent, CACHE, lambda _folder: Environment())
    functions = await code.prepare(sources)
    reloader = await code.reloader()

    def on_event(event: AgentEvent) -> None:
        reloader.on_event(event)
        _say(event)

    agent = _agent(settings, functions, code.command, on_event)
    tasks = [asyncio.create_task(agent.run()), asyncio.create_task(reloader.run(agent))]
    try:
        await reloader.ready()
        print(json.dumps(["ready"]), flush=True)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await code.close()


def _source(name: str, said: dict[str, str]) -> FunctionSource:
    root = Path(said["root"])
    entry = root / said["entry"] if "entry" in said else None
    output = said.get("output", "")
    return FunctionSource(f"Bench/{name}", said["runtime"], said["handler"], root, entry=entry, output=output)


def _agent(
    settings: dict[str, Any], functions: Mapping[str, LiveFunction], commands: Commands, on_event: OnEvent
) -> Agent:
    async def tokens(_renew: bool) -> str:
        return str(settings["token"])

    return Agent(
        settings["server"],
        tokens,
        functions,
        commands,
        concurrency=settings["concurrency"],
        only=settings["only"],
        on_event=on_event,
    )


def _say(event: AgentEvent) -> None:
    match event:
        case Connected(session=session, resumed=resumed):
            line = ["connected", session, resumed]
        case Cut(reason=reason):
            line = ["cut", reason]
        case WorkerStarted(function=function, pid=pid):
            line = ["worker", function, pid]
        case _:
            return
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
