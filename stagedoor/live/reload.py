"""A file is saved, and the next request is answered by the new code: of the functions that it concerns, no others."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stagedoor.live.agent_events import AgentEvent, Imported, WorkerEnded, WorkerStarted
from stagedoor.live.functions import LiveFunction
from stagedoor.live.import_graph import Change, ImportGraph
from stagedoor.live.node.builds import Build, Built
from stagedoor.live.watching import Watcher


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Functions will be loaded anew, since these files changed."""

    functions: frozenset[str]
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class BuildFailed:
    """A function's code could not be built: until it can be, its invocations fail with this."""

    function: str
    problem: str


class Reloads(Protocol):
    """The part of `Agent` that this needs."""

    async def reload(self, functions: Iterable[str] | None = None, after: Awaitable[None] | None = None) -> None:
        """Load the functions' code anew for what comes from now on, once `after` is done."""


class Reloader:
    """Watches a repository and reloads what its changes concern, while `run` runs.

    It must be given the agent's events: workers tell by them what they have loaded. `builds` are the functions that are
    built before they can run, `build` builds one. `whole` are those whose workers do not tell all that they load. What
    is in `cache` is nobody's code.
    """

    def __init__(
        self,
        repository: Path,
        functions: Mapping[str, LiveFunction],
        builds: Mapping[str, Build],
        build: Callable[[Build], Awaitable[Built]],
        on_reload: Callable[[Reloaded | BuildFailed], None] = lambda _: None,
        whole: frozenset[str] = frozenset(),
        cache: Path | None = None,
    ) -> None:
        self._repository = repository.resolve()
        self._cache = cache.resolve() if cache else None
        self._builds = builds
        self._build = build
        self._on_reload = on_reload
        self._graph = ImportGraph()
        for name, function in functions.items():
            root = builds[name].entry.parent if name in builds else function.root
            self._graph.add(name, root, whole=name in whole)
        outside = {function.root for function in functions.values() if not self._holds(function.root)}
        self._watcher = Watcher(
            {self._repository} | (outside - {builds[name].output.parent for name in builds}), repository
        )

    async def build_all(self) -> None:
        """Build what must be built, all at once. Raises `BuilderMissing`."""
        await asyncio.gather(*(self._built(name) for name in self._builds))

    def on_event(self, event: AgentEvent) -> None:
        """Learn from what happened at the agent."""
        match event:
            case Imported(function, files) if function not in self._builds:
                here = {path for file in files if "site-packages" not in (path := Path(os.path.realpath(file))).parts}
                self._graph.loaded(function, here)
                self._watcher.also({file.parent for file in here if self._is_code(file)})
            case WorkerStarted(function):
                self._graph.started(function)
            case WorkerEnded(function, why="failed"):
                self._graph.failed(function)

    async def ready(self) -> None:
        """Return when no change is missed any more; `run` must be running."""
        await self._watcher.watching.wait()

    async def run(self, agent: Reloads) -> None:
        """Reload for each change, until cancelled."""
        async for changes in self._watcher.changes():
            await self._reload(changes, agent)

    async def _reload(self, changes: list[Change], agent: Reloads) -> None:
        concerned = self._graph.affected(changes)
        if not concerned:
            return
        self._on_reload(Reloaded(concerned, tuple(change.path for change in changes)))
        built, plain = concerned & self._builds.keys(), concerned - self._builds.keys()
        for name in concerned:
            self._graph.reloading(name)
        if plain:
            await agent.reload(plain)
        for name in built:
            await agent.reload({name}, asyncio.create_task(self._built(name)))

    async def _built(self, name: str) -> None:
        built = await self._build(self._builds[name])
        own = {path for path in built.inputs if "node_modules" not in path.parts}
        self._graph.loaded(name, own)
        with suppress(OSError):
            self._watcher.also({path.parent for path in own if not self._holds(path)})
        if built.problem is None:
            self._graph.started(name)
        else:
            self._graph.failed(name)
            self._on_reload(BuildFailed(name, built.problem))

    def _holds(self, path: Path) -> bool:
        return path.is_relative_to(self._repository)

    def _is_code(self, file: Path) -> bool:
        """Say whether a file may be somebody's own outside of the repository: an editable install, no library."""
        if self._holds(file) or (self._cache and file.is_relative_to(self._cache)):
            return False
        return not any(part.startswith(("python3", "node_modules", ".cache")) for part in file.parts)
