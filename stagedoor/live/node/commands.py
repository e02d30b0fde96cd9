"""How a worker of a Node function is started, and where AWS's runtime client for Node comes from.

The client is plain JavaScript but for a native part that has to be compiled; `rapid_client.cjs` stands in for that. Its
archive is fetched once into the cache and held against the hash that is written here; none of its scripts is run.
"""

import asyncio
import base64
import hashlib
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stagedoor.errors import UserError
from stagedoor.live.functions import LiveFunction, WorkerCommand

_PROGRAM = Path(__file__).with_name("worker_main.mjs")
_MAJOR = re.compile(r"nodejs(\d+)\.x")
_NO_CALLBACKS = 24
"""The first version of Lambda's Node whose client refuses handlers that answer through a callback
(https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html#nodejs-handler-callback).
"""


class NodeClientMissing(UserError):
    """AWS's runtime client for Node could not be had."""

    id = "node-client-missing"


@dataclass(frozen=True, slots=True)
class _Client:
    """A release of `aws-lambda-ric`: the file to start from, where its native part would be, the archive's SHA-512."""

    version: str
    entry: str
    native: str
    sha512: str


_WITH_CALLBACKS = _Client(
    "3.3.0",
    "dist/index.mjs",
    "dist/rapid-client.node",
    "9p06TbKVK4a050NY/vYOxhMHvnIiUu5o1W0//q6yNLSqA/c91pn4BOj3C3sRTpplkUNsGJdU5qWyU2STo6L8hA==",
)
_WITHOUT = _Client(
    "4.0.2",
    "index.mjs",
    "rapid-client.node",
    "FE5Vskx7mYNnqAnWWJXUOsLp2VGgdsJsCoRLFTa8L4Yk0QVtArqR8q58yPA++QC1a73ZWJXBQ2AH31nIAv7NOQ==",
)


class NodeCommands:
    """Says how workers of Node functions are started. `inspected` are the ports of Node's inspector by function."""

    def __init__(self, cache: Path, inspected: Mapping[str, int] | None = None) -> None:
        self._folder = cache / "live"
        self._inspected = inspected or {}
        self._fetching: dict[_Client, asyncio.Task[Path]] = {}

    async def __call__(self, function: LiveFunction) -> WorkerCommand:
        """Return the command for a worker. Raises `NodeClientMissing`."""
        client = _client_of(function.runtime)
        if client not in self._fetching:
            self._fetching[client] = asyncio.create_task(self._fetched(client))
        try:
            folder = await asyncio.shield(self._fetching[client])
        except UserError:
            del self._fetching[client]
            raise
        port = self._inspected.get(function.name)
        inspector = (f"--inspect=127.0.0.1:{port}",) if port else ()
        argv = (
            str(function.interpreter),
            "--enable-source-maps",
            *inspector,
            str(_PROGRAM),
            str(folder / client.entry),
            str(folder / client.native),
        )
        layers = [layer / "nodejs" / "node_modules" for layer in function.layers]
        return WorkerCommand(argv, {"NODE_PATH": ":".join(map(str, layers))} if layers else {})

    async def _fetched(self, client: _Client) -> Path:
        folder = self._folder / f"aws-lambda-ric-{client.version}"
        if not folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=self._folder) as passing:
                await _fetch(client, Path(passing))
                (Path(passing) / "package" / client.native).touch()  # to be found; it is never read
                try:
                    (Path(passing) / "package").rename(folder)
                except OSError:
                    if not folder.is_dir():  # else another agent was first
                        raise
        return folder


def _client_of(runtime: str) -> _Client:
    match = _MAJOR.fullmatch(runtime)
    return _WITHOUT if match and int(match[1]) >= _NO_CALLBACKS else _WITH_CALLBACKS


async def _fetch(client: _Client, folder: Path) -> None:
    name = f"aws-lambda-ric@{client.version}"
    npm = shutil.which("npm")
    if npm is None:
        raise NodeClientMissing(
            "npm is not there to fetch AWS's runtime client for Node with.", "Install Node with npm."
        )
    status, printed = await run(npm, "pack", name, "--silent", "--ignore-scripts", "--pack-destination", str(folder))
    archives = list(folder.glob("*.tgz"))
    if status or not archives:
        raise NodeClientMissing(f"{name} could not be fetched.", "See what npm says below.", detail=printed)
    content = archives[0].read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != client.sha512:
        raise NodeClientMissing(
            f"What npm fetched as {name} is not what was published under that name.",
            "See which registry npm is set to use.",
        )
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")


async def run(*argv: str) -> tuple[int, str]:
    """Run a program to its end; return its status and what it printed."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=tempfile.gettempdir(),  # npm obeys a `.npmrc` of the folder that it runs in
        env=dict(os.environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode(errors="replace")
