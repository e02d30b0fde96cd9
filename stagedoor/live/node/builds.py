"""Build TypeScript, and JavaScript that its author has bundled, as CDK's `NodejsFunction` does, and at each change.

One esbuild process serves all functions and keeps what it has parsed, so that a build costs what was changed. The app's
own esbuild is used where it has one; else one is installed into the cache, at the version that bundles are made with.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from stagedoor.bundling.esbuild import ESBUILD, MAIN, install_words
from stagedoor.errors import UserError
from stagedoor.live.node.commands import run

_BUILDER = Path(__file__).with_name("builder.mjs")
_LINE_LIMIT = 64 * 1024**2
"""Bytes of one answer: the names of all files of one function, which may be thousands."""


class BuilderMissing(UserError):
    """esbuild could not be had, or does not run."""

    id = "builder-missing"


@dataclass(frozen=True, slots=True)
class Build:
    """What is built: the file to start from, the file to write, `cjs` or `esm`, esbuild's `target` (`node22`).

    `external` are packages that are left to be found when the function runs.
    """

    entry: Path
    output: Path
    format: str
    target: str
    external: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Built:
    """The files that went into a build. With a `problem` the output is a file that raises it when it is loaded."""

    inputs: frozenset[Path]
    problem: str | None = None


class Builder:
    """An esbuild process, started with the first build. `close` ends it."""

    def __init__(self, node: Path, main: Callable[[], Awaitable[Path]]) -> None:
        """`main` says where esbuild's main file is; see `find_esbuild`."""
        self._node = node
        self._main = main
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._locks: dict[Path, asyncio.Lock] = {}
        self._asked: dict[int, asyncio.Future[Built]] = {}
        self._last = 0
        self._reading: asyncio.Task[None] | None = None

    async def build(self, build: Build) -> Built:
        """Build once, as the files are now. Raises `BuilderMissing`."""
        # A build that is asked for while esbuild makes the same one would be given that one, of files as they were.
        async with self._locks.setdefault(build.output, asyncio.Lock()):
            process = await self._running()
            assert process.stdin is not None  # noqa: S101
            self._last += 1
            answer: asyncio.Future[Built] = asyncio.get_running_loop().create_future()
            self._asked[self._last] = answer
            request = {**asdict(build), "entry": str(build.entry), "output": str(build.output), "id": self._last}
            process.stdin.write(json.dumps(request).encode() + b"\n")
            return await answer

    async def close(self) -> None:
        """End the process."""
        if self._process is not None and self._reading is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._reading

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    str(self._node),
                    str(_BUILDER),
                    str(await self._main()),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    limit=_LINE_LIMIT,
                    start_new_session=True,
                )
                self._reading = asyncio.create_task(self._read(self._process))
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101
        while line := await process.stdout.readline():
            answer = json.loads(line)
            built = Built(frozenset(map(Path, answer["inputs"])), answer["problem"])
            self._asked.pop(answer["id"]).set_result(built)
        await process.wait()
        for waiting in self._asked.values():
            waiting.set_exception(
                BuilderMissing(
                    "esbuild ended by itself.", "See what it printed above; `npm ci` puts a broken one right."
                )
            )
        self._asked.clear()


async def find_esbuild(near: Path, cache: Path) -> Path:
    """Return the main file of the esbuild that code in the folder `near` would import, else of one in the cache.

    Raises `BuilderMissing` where it is in neither and cannot be installed.
    """
    for folder in (near, *near.parents):
        if (folder / MAIN).is_file():
            return folder / MAIN
    kept = cache / "live" / f"esbuild-{ESBUILD}"
    if not (kept / MAIN).is_file():
        await _install(kept)
    return kept / MAIN


async def _install(kept: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise BuilderMissing(
            "npm is not there to install esbuild with.", "Install esbuild in the app: npm i -D esbuild."
        )
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{kept.name}.", dir=kept.parent) as passing:
        made = Path(passing) / "made"
        made.mkdir()
        status, printed = await run(npm, *install_words(made))
        if status or not (made / MAIN).is_file():
            raise BuilderMissing(
                f"esbuild {ESBUILD} could not be installed.",
                "See what npm says below; or install esbuild in the app: npm i -D esbuild.",
                detail=printed,
            )
        with suppress(OSError):  # another agent was first
            made.rename(kept)
