"""A developer on a stage: sources are looked for, workers run, and what happens is shown, until Ctrl-C."""

import asyncio
import os
import signal
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stagedoor.assembly.bridging.places import Place
from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.cache import cache_dir
from stagedoor.cli.deployed_functions import DeployedFunction, short_names
from stagedoor.cli.invocations import JsonLines, Lines
from stagedoor.cli.live_stage import LiveStage, NothingLive
from stagedoor.cli.screen import Ending
from stagedoor.cli.service import Service
from stagedoor.cli.type_files import refresh_types
from stagedoor.cli.work import Work
from stagedoor.errors import UserError
from stagedoor.events import Event, EventKind
from stagedoor.live import event_loop
from stagedoor.live.agent import Agent
from stagedoor.live.agent_events import AgentEvent
from stagedoor.live.bridges import emulator_endpoint
from stagedoor.live.debugger import ports_of
from stagedoor.live.local_code import LocalCode
from stagedoor.live.sources import FunctionSource, NoSource, Override, find_sources
from stagedoor.live.vscode import configurations, write_launch
from stagedoor.synth.dependencies import Environment, install
from stagedoor.synth.executor import LocalProcessExecutor

_DEPLOYED_AGAIN = "Disconnected. What is deployed answers again."
_NOBODY_BEHIND = (
    "Disconnected. On a local AWS the bridge is the function's code, so nothing answers now; "
    "`stagedoor dev --off` brings the deployed code back."
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command was told about functions: patterns, how many invocations may run at once, and whether
    VS Code is told of the debuggers' ports.
    """

    only: tuple[str, ...]
    debug: tuple[str, ...]
    concurrency: int
    vscode: bool = False


class Developing:
    """A developer on a stage, until Ctrl-C."""

    def __init__(
        self,
        work: Work,
        app: AppFolder,
        stage: LiveStage,
        service: Service,
        wishes: Wishes,
        overrides: Sequence[Override] = (),
    ) -> None:
        self._work = work
        self._app = app
        self._stage = stage
        self._service = service
        self._wishes = wishes
        self._overrides = overrides
        self._functions = _functions(stage)
        self._names = short_names(list(self._functions.values()))
        shown = JsonLines if work.options.as_json else Lines
        self._lines = shown(self._names)

    def run(self) -> None:
        """Connect and serve."""
        refresh_types(self._app, self._stage.assembly, self._work.emit)
        sources = self._sources()
        if not sources:
            raise NothingLive(
                f"No function of the stage {self._stage.name} can run here"
                f"{', of those that --only names' if self._wishes.only else ''}.",
                f"The lines above say why of each that cannot. There are: {', '.join(sorted(self._names.values()))}.",
            )
        event_loop.run(self._serve(sources))
        self._work.screen.end(Ending(_NOBODY_BEHIND if emulator_endpoint(os.environ) else _DEPLOYED_AGAIN))

    def _sources(self) -> dict[str, FunctionSource]:
        """Return where the code of the stage's live functions is; of the others it is said why they stay deployed."""
        app, stage = self._app, self._stage
        found = find_sources(stage.assembly, stage.target, app.repository.root, self._overrides, app.path)
        sources = {}
        for function in self._stage.functions:
            name = str(function["name"])
            source = found.get(_place(str(function["place"])))
            if not function["live"]:
                self._tell(name, f"stays deployed: {function['reason']}")
            elif isinstance(source, FunctionSource):
                if self._is_wanted(name, source.construct_path, self._wishes.only or ("*",)):
                    sources[name] = source
                if function["reason"]:
                    self._tell(name, str(function["reason"]))
            elif isinstance(source, NoSource):
                self._tell(name, f"stays deployed: {source.reason} {source.remedy}")
        return sources

    def _is_wanted(self, name: str, path: str, patterns: Sequence[str]) -> bool:
        function = replace(self._functions[name], construct_path=path)
        return any(function.is_called(pattern) for pattern in patterns)

    def _tell(self, name: str, what: str) -> None:
        self._work.screen.show(Event(EventKind.WARNING, self._names.get(name, name), message=what))

    async def _serve(self, sources: Mapping[str, FunctionSource]) -> None:
        ports = self._debugged(sources)
        code = LocalCode(self._app.repository.root, cache_dir(), self._install, ports)
        functions = await code.prepare(sources)
        for name, left in code.left.items():
            self._tell(name, f"stays deployed: {left.reason} {left.remedy}")
        for name, note in code.notes.items():
            self._tell(name, note)
        reloader = await code.reloader(self._lines.show)

        def on_event(event: AgentEvent) -> None:
            self._lines.show(event)
            reloader.on_event(event)

        agent = Agent(
            self._service.url,
            self._token,
            functions,
            code.command,
            concurrency=self._wishes.concurrency,
            only=functions if self._wishes.only else None,
            debug=ports,
            on_event=on_event,
        )
        try:
            await _until_interrupted(agent.run(), reloader.run(agent))
        finally:
            await code.close()

    def _debugged(self, sources: Mapping[str, FunctionSource]) -> dict[str, int]:
        """Return the debuggers' ports by function, and say where they are."""
        runtimes = {name: source.runtime for name, source in sources.items()}
        wanted = [
            name
            for name, source in sources.items()
            if self._wishes.debug and self._is_wanted(name, source.construct_path, self._wishes.debug)
        ]
        ports = ports_of(runtimes, wanted)
        for name, port in ports.items():
            said = f"a debugger can attach at 127.0.0.1:{port}"
            self._work.screen.show(Event(EventKind.LOG, self._names[name], "debug", said))
        if self._wishes.vscode:
            left = write_launch(self._app.repository.root, configurations(ports, runtimes, self._names))
            if left is not None:
                what = f"launch.json has comments, so it stays as it is. Add to its configurations:\n{left}"
                self._work.screen.show(Event(EventKind.WARNING, ".vscode", message=what))
        return ports

    async def _token(self, _renew: bool) -> str:
        said = await asyncio.to_thread(self._service.post, f"/stages/{self._stage.key}/token")
        return str(said["token"])

    def _install(self, folder: Path) -> Environment:
        cache = cache_dir() / self._stage.target.trust.value
        return install(folder, self._app.repository.root, cache, LocalProcessExecutor(), self._work.screen.show)


async def _until_interrupted(*works: Coroutine[Any, Any, None]) -> None:
    """Run the works together until Ctrl-C, or until one fails, which is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    stop = asyncio.ensure_future(interrupted.wait())
    await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    failed = [task.exception() for task in tasks if task.done() and not task.cancelled()]
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, UserError):
            await task
    for error in failed:
        if error is not None:
            raise error


def _place(text: str) -> Place:
    *where, logical_id = text.split("|")
    return Place(tuple(where), logical_id)


def _functions(stage: LiveStage) -> dict[str, DeployedFunction]:
    """Return the stage's functions as people name them, by their names in AWS."""
    paths = {stack.id: stack.construct_paths for stack in stage.assembly.stacks}
    found = {}
    for one in stage.functions:
        stack, *nested, logical_id = str(one["place"]).split("|")
        path = "" if nested else paths.get(stack, {}).get(logical_id, "")
        name = str(one["name"])
        found[name] = DeployedFunction(name, logical_id, path, str(one.get("handler", "")))
    return found
