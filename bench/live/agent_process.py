"""An agent as a process of its own, as `stagedoor dev` is: `python -m bench.live.agent_process SETTINGS` (JSON).

It prints a line of JSON, `[event, …]`, when it is connected, cut, or has a worker ready; SIGTERM ends it as Ctrl-C does.
"""

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.peers import CACHE
from stagedoor.live.agent import Agent
from stagedoor.live.agent_events import AgentEvent, Connected, Cut, WorkerStarted
from stagedoor.live.functions import LiveFunction
from stagedoor.live.python_worker.command import PythonCommands

HANDLERS = Path(__file__).with_name("handlers")


def local_function(name: str, **environment: str) -> LiveFunction:
    """Return one of the functions in `handlers/`: `bench-echo` is `app.echo`."""
    handler = "app." + name.removeprefix("bench-")
    # From 3.12 on, awslambdaric writes answers in UTF-8, by the name of the runtime; before, it escapes all but ASCII.
    return LiveFunction(name, handler, "python3.13", HANDLERS, Path(sys.executable), environment=environment)


def main() -> None:
    """Serve until SIGTERM."""
    asyncio.run(_serve(json.loads(sys.argv[1])))


async def _serve(settings: dict[str, Any]) -> None:
    async def tokens(_renew: bool) -> str:
        return str(settings["token"])

    functions = {name: local_function(name, DEVELOPER=settings["developer"]) for name in settings["functions"]}
    agent = Agent(
        settings["server"],
        tokens,
        functions,
        PythonCommands(CACHE),
        concurrency=settings["concurrency"],
        only=settings["only"],
        on_event=_say,
    )
    running = asyncio.create_task(agent.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


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
