"""A stage's functions as they run here: from where their code is to workers, builds, reloads and debuggers.

code = LocalCode(repository, cache, install, debug=ports)
functions = await code.prepare(sources)            # by physical name; code.left and code.notes say the rest
agent = Agent(…, functions, code.command, on_event=…)
reloader = code.reloader(on_reload)                # give it the agent's events, and run it beside the agent
…
await code.close()
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from stagedoor.bundling.runtime_files import write_runtime
from stagedoor.errors import UserError
from stagedoor.live.debugger import debugged, find_debugpy
from stagedoor.live.functions import LiveFunction, WorkerCommand
from stagedoor.live.interpreters import Install, Interpreter, node_for, python_for
from stagedoor.live.node.builds import Build, Builder, Built, find_esbuild
from stagedoor.live.node.commands import NodeCommands
from stagedoor.live.python_worker.command import PythonCommands
from stagedoor.live.reload import BuildFailed, Reloaded, Reloader
from stagedoor.live.sources.bundles import bundled_externals
from stagedoor.live.sources.model import FunctionSource, NoSource

_TELLS_ALL = (22, 15)
"""The first version of Node whose workers can tell which ES modules they load."""


class LocalCode:
    """The code of one repository's functions. `cache` is a folder of this machine's, `debug` the ports by function."""

    def __init__(self, repository: Path, cache: Path, install: Install, debug: Mapping[str, int] | None = None) -> None:
        self._repository = repository.resolve()
        self._cache = cache
        self._install = install
        self._debug = debug or {}
        self._functions: dict[str, LiveFunction] = {}
        self._builds: dict[str, Build] = {}
        self._versions: dict[str, str] = {}
        self._builder: Builder | None = None
        self._python = PythonCommands(cache)
        self._node = NodeCommands(cache, self._debug)
        self.left: dict[str, NoSource] = {}
        """Functions that cannot run here after all, and why."""
        self.notes: dict[str, str] = {}
        """What is to be known about functions that do."""

    async def prepare(self, sources: Mapping[str, FunctionSource]) -> Mapping[str, LiveFunction]:
        """Return what can run here of the functions with these physical names, with their environments made."""
        await asyncio.gather(*(self._prepare(name, source) for name, source in sources.items()))
        return dict(self._functions)

    async def command(self, function: LiveFunction) -> WorkerCommand:
        """Return how a worker of the function is started. Raises `UserError` where it cannot be."""
        if function.runtime.startswith("nodejs"):
            return await self._node(function)
        command = await self._python(function)
        port = self._debug.get(function.name)
        if port is None:
            return command
        folder = await find_debugpy(function.interpreter, self._versions[function.name], self._cache)
        return debugged(command, port, folder)

    async def reloader(self, on_reload: Callable[[Reloaded | BuildFailed], None] = lambda _: None) -> Reloader:
        """Return what reloads the functions; all that must be built is built when it is there."""
        whole = {name for name, version in self._versions.items() if self._is_quiet(name, version)}
        reloader = Reloader(
            self._repository,
            self._functions,
            self._builds,
            self._build,
            on_reload,
            frozenset(whole - self._builds.keys()),
            self._cache,
        )
        await reloader.build_all()
        return reloader

    async def close(self) -> None:
        """End what builds."""
        if self._builder:
            await self._builder.close()

    async def _prepare(self, name: str, source: FunctionSource) -> None:
        try:
            if source.runtime.startswith("python"):
                interpreter = await python_for(source.root, self._repository, source.runtime, self._install)
            else:
                interpreter = await node_for(source.runtime)
        except UserError as error:
            self.left[name] = NoSource(source.construct_path, error.what, error.remedy)
            return
        root = source.root
        if source.inline is not None:
            root = self._written(source)
        elif source.entry is not None:
            root = self._built(name, source, source.entry, interpreter)
        notes = [interpreter.note] if interpreter.note else []
        if source.elsewhere:
            notes.append(f"{source.elsewhere} of its layers are not the app's own, and so are not on this machine.")
        self.notes |= {name: " ".join(notes)} if notes else {}
        self._versions[name] = interpreter.version
        ours = (write_runtime(self._cache / "live" / "runtime"),) if source.ours else ()
        self._functions[name] = LiveFunction(
            name,
            source.handler,
            source.runtime,
            root.resolve(),
            interpreter.program,
            source.layers,
            search=(*ours, *interpreter.search),
        )

    def _folder(self, source: FunctionSource) -> Path:
        """Return the folder in the cache that is this function's own."""
        key = hashlib.sha256(f"{self._repository}\0{source.construct_path}".encode()).hexdigest()[:16]
        folder = self._cache / "live" / "built" / key
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _written(self, source: FunctionSource) -> Path:
        """Write code that is in the template to the file in which Lambda puts it
        (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-code.html).
        """
        folder = self._folder(source)
        name = "index.py" if source.runtime.startswith("python") else "index.js"
        (folder / name).write_text(source.inline or "")
        return folder

    def _built(self, name: str, source: FunctionSource, entry: Path, interpreter: Interpreter) -> Path:
        """Set up a build, with what else is in the asset beside its output."""
        folder = self._folder(source)
        is_module = source.output.endswith(".mjs") or _is_module(source.asset)
        (folder / "package.json").write_text(json.dumps({"type": "module" if is_module else "commonjs"}))
        external: tuple[str, ...] = ()
        if source.asset is not None:
            external = bundled_externals(source.asset / source.output)
            _link_others(
                source.asset, folder, {source.output.partition("/")[0], f"{source.output}.map", "package.json"}
            )
        major = interpreter.version.partition(".")[0]
        self._builds[name] = Build(
            entry, folder / source.output, "esm" if is_module else "cjs", f"node{major}", external
        )
        if self._builder is None:
            self._builder = Builder(interpreter.program, lambda: find_esbuild(entry.parent, self._cache))
        return folder

    async def _build(self, build: Build) -> Built:
        assert self._builder is not None  # noqa: S101 - whoever set up the build has made it
        return await self._builder.build(build)

    def _is_quiet(self, name: str, version: str) -> bool:
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        return self._functions[name].runtime.startswith("nodejs") and numbers < _TELLS_ALL


def _is_module(asset: Path | None) -> bool:
    """Say whether a `.js` file of the asset is an ES module."""
    try:
        package = json.loads((asset / "package.json").read_text()) if asset else {}
    except (OSError, ValueError):
        return False
    return isinstance(package, dict) and package.get("type") == "module"


def _link_others(asset: Path, folder: Path, own: set[str]) -> None:
    for entry in asset.iterdir():
        link = folder / entry.name
        if entry.name in own or entry.name.endswith(".js.map"):
            continue
        if link.is_symlink():
            link.unlink()
        link.symlink_to(entry)
