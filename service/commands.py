"""`stagedoor serve`, `web`, `relay` and `worker`: the service's commands, found by the CLI through entry points.

`serve` is all of it on one machine; `web` and `relay` are the two halves of its front door, in processes of their own.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click
import structlog
import uvicorn

from service.blobs import check_is_ours, mark_as_ours
from service.bounded_http import BoundedHttp
from service.database import SchemaState, migrate, refuse_newer, schema_state
from service.health import answers_at
from service.logs import configure_logs
from service.parts import make_parts
from service.relay.draining import DrainingServer
from service.roles import Role
from service.settings import Settings, SettingsInvalid
from service.targets import prepare, service_id
from service.worker.parent import end_with_parent
from service.worker.processes import WorkerGroup
from stagedoor.live.frames import LARGEST_HELLO
from stagedoor.synth.confinement import find_granted, shield_this_process

if TYPE_CHECKING:
    from starlette.applications import Starlette

log = structlog.get_logger(__name__)
STOP_SECONDS = 30  # longer than its workers take to end (service/worker/processes.py)
# Longer than a load balancer keeps an idle connection (AWS: 60), or it sends a webhook on one that we just closed.
KEEP_ALIVE_SECONDS = 75
# An agent whose machine is gone says nothing. Not shorter: an answer stands in line behind megabytes of results.
PING_SECONDS, PONG_SECONDS = 5, 10
_LANDLOCK_WITH_PORTS = 4

SWITCH_SECONDS = 0.0005
"""How long a thread computes while others wait to (Python's own: 5 ms). The loop that reads and answers waits for each
of Flask's threads in turn: a third off a webhook's slowest answers, at 200 a second.
"""


@click.command()
@click.option("--workers", default=2, show_default=True, help="Worker processes beside the web server; 0 for none.")
@click.option("--host", help="Address to listen on, instead of STAGEDOOR_HOST.")
@click.option("--port", type=int, help="Port to listen on, instead of STAGEDOOR_PORT.")
def serve(workers: int, host: str | None, port: int | None) -> None:
    """Run the deployment service: webhooks, pages and, unless there are others, workers.

    Without STAGEDOOR_REDIS_URL the workers start a queue of their own; without STAGEDOOR_DATABASE_URL the data are in
    SQLite.

    Example: stagedoor serve --port 8000
    """
    _serve(Role.ALL, workers, host, port)


def _address(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where it listens."""
    port = click.option("--port", type=int, help="Port to listen on, instead of STAGEDOOR_PORT.")
    return click.option("--host", help="Address to listen on, instead of STAGEDOOR_HOST.")(port(command))


@click.command()
@_address
def web(host: str | None, port: int | None) -> None:
    """Run the front door without tunnels: webhooks, pages, the API. Any number of these may run.

    Example: stagedoor web --port 8000
    """
    _serve(Role.WEB, 0, host, port)


@click.command()
@_address
def relay(host: str | None, port: int | None) -> None:
    """Run the front door's tunnels alone, which is all under /live. Any number may run; they need a queue server.

    Example: stagedoor relay --port 8001
    """
    _serve(Role.RELAY, 0, host, port)


def _serve(role: Role, workers: int, host: str | None, port: int | None) -> None:
    """Answer as `role` until told to stop; a relay drains first."""
    configure_logs()
    shield_this_process()
    chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = Settings().model_copy(update=chosen)
    settings = _with_own_address(settings)
    settings.check()
    # Raised where the signal finds us, so that what was started is ended; uvicorn raises it again when it is done.
    _on_signal(sys.exit)
    if role.has_web:
        _prepare(settings)
    else:
        _await_service(settings)
    with _worker_process(settings, workers):
        # Imported here: the application is made when it is imported by the server, too.
        from service.asgi import make_front_door

        front_door = make_front_door(settings, role)
        tunnels = front_door.state.relay
        config = server_config(front_door, settings)
        server = (
            DrainingServer(config, lambda: tunnels.drain(settings.drain_seconds)) if tunnels else uvicorn.Server(config)
        )
        answers_at(settings.health_dir, role.value, settings.port)
        log.info("serving", url=settings.url, role=role.value)
        sys.setswitchinterval(SWITCH_SECONDS)
        server.run()


def server_config(front_door: "Starlette", settings: Settings) -> uvicorn.Config:
    """Return how the front door is served."""
    return uvicorn.Config(
        front_door,
        host=settings.host,
        port=settings.port,
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        proxy_headers=False,
        ws_per_message_deflate=False,
        ws_max_size=LARGEST_HELLO,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
    )


@click.command()
@click.option("--processes", default=2, show_default=True, help="How many runs may go on at once.")
@click.option("--end-with-parent", "attached", is_flag=True, hidden=True)
def worker(processes: int, attached: bool) -> None:
    """Run workers: they deploy and remove stages. Any number of these may run, on as many machines.

    Without STAGEDOOR_REDIS_URL they start a queue of their own.

    Example: STAGEDOOR_REDIS_URL=redis://queue:6379 stagedoor worker --processes 4
    """
    if attached:
        end_with_parent()
    configure_logs()
    shield_this_process()
    settings = Settings()
    settings.check()
    _check_confinement(settings)
    _await_service(settings)
    with _queue(settings) as url:
        group = WorkerGroup(settings, url, processes)
        _on_signal(group.stop)
        group.run()


def _on_signal(stop: Callable[[], None]) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _check_confinement(settings: Settings) -> None:
    """Say what keeps repository code apart on this kernel, and raise where that is required and too little.

    Enough is a network namespace, or a Landlock that knows of ports (version 4, of Linux 6.7): without either, a pull
    request's program could ask the machine's metadata service for credentials.
    """
    granted = find_granted()
    enough = granted.network or granted.landlock >= _LANDLOCK_WITH_PORTS
    said = {"namespaces": granted.namespaces, "network": granted.network, "landlock": granted.landlock}
    if enough:
        log.info("repository code is confined", **said)
    elif settings.synth_confinement == "best":
        log.warning("repository code is hardly confined on this kernel: run your own repositories' alone", **said)
    else:
        raise SettingsInvalid(
            "This kernel grants too little to keep repository code apart, which STAGEDOOR_SYNTH_CONFINEMENT requires.",
            "Allow user namespaces, or use Linux 6.7 or newer with Landlock; docs/synth.md says what each means holds.",
        )


def _with_own_address(settings: Settings) -> Settings:
    """Return the settings with this machine's own address, as its network knows it, where the internal URL leaves it
    open: a task in ECS learns its address when it starts.
    """
    if "{address}" not in settings.internal_url:
        return settings
    own = socket.gethostbyname(socket.gethostname())
    return settings.model_copy(update={"internal_url": settings.internal_url.replace("{address}", own)})


def _prepare(settings: Settings) -> None:
    """Bring the database up to date, and write down in it the operator's targets and in the blob store whose it is."""
    parts = make_parts(settings)
    refuse_newer(parts.engine)
    migrate(parts.engine)
    mark_as_ours(parts.blobs, prepare(parts.sessions, settings))
    parts.engine.dispose()


def _await_service(settings: Settings) -> None:
    """Wait until a front door has prepared the database as this version needs it; see that its blob store is ours."""
    parts = make_parts(settings)
    waits = 0
    while (state := schema_state(parts.engine)) is not SchemaState.CURRENT or not (
        service := service_id(parts.sessions)
    ):
        if state is SchemaState.NEWER:
            refuse_newer(parts.engine)
        if waits % 30 == 0:
            log.warning(
                "waiting: no `stagedoor serve` or `web` of this version has prepared the database", schema=state
            )
        waits += 1
        time.sleep(1)
    check_is_ours(parts.blobs, service)
    parts.engine.dispose()


@contextmanager
def _queue(settings: Settings) -> Iterator[str]:
    """Yield the queue's URL; where none is set, that of an embedded server that ends with us."""
    if settings.redis_url:
        yield settings.redis_url
        return
    from service.worker.queue_server import embedded_queue

    with embedded_queue(settings.data_dir / "queue") as url:
        yield url


@contextmanager
def _worker_process(settings: Settings, count: int) -> Iterator[None]:
    """Keep a `stagedoor worker` beside the server: a process of its own, started again when it dies."""
    if count == 0:
        yield
        return
    stop = threading.Event()
    command = [sys.executable, "-m", "stagedoor.cli", "worker", f"--processes={count}", "--end-with-parent"]
    environment = {**os.environ, "STAGEDOOR_PUBLIC_URL": settings.url}  # host and port may have come as options

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=environment, start_new_session=True)

    running = [start()]

    def mind() -> None:
        while not stop.wait(0.5):
            if running[0].poll() is not None:
                log.warning("the workers' process has died and is started again", code=running[0].returncode)
                running[0] = start()

    minder = threading.Thread(target=mind, name="worker-minder", daemon=True)
    minder.start()
    try:
        yield
    finally:
        stop.set()
        minder.join()
        _end(running[0])


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    began = time.monotonic()
    try:
        child.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("the workers took too long to stop and are killed", seconds=time.monotonic() - began)
        child.kill()
        child.wait()
