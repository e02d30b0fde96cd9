"""The deployment service, started as its operator starts it: `stagedoor serve`, configured by the environment alone."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

_START_SECONDS = 60.0
_STOP_SECONDS = 40.0  # what `stagedoor serve` gives its workers, and a little more
_HURRY_SECONDS = 2.0
_NOT_INHERITED = ("AWS_", "STAGEDOOR_", "PYTHON")


class ServiceFailed(RuntimeError):
    """The service did not start, or ended by itself; the message ends with the last lines of its log."""


class Service:
    """A running `stagedoor serve`; use it as a context manager. `log` is the file that it writes."""

    command: ClassVar[tuple[str, ...]] = (str(Path(sys.executable).with_name("stagedoor")),)

    def __init__(self, settings: Mapping[str, str], state: Path, workers: int = 2) -> None:
        self._settings = settings
        self._state = state
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None
        self.log = state / "service.log"
        self.data = state / "service"
        self.port = 0

    @property
    def url(self) -> str:
        """Where its pages are."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """The SQLite file that it keeps everything in."""
        return self.data / "stagedoor.sqlite"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop(_HURRY_SECONDS)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # After an error, or Ctrl-C, nobody waits for what a run would still come to.
        self.stop(_STOP_SECONDS if kind is None else _HURRY_SECONDS)

    def check(self) -> None:
        """Raise `ServiceFailed` when it does not run any more."""
        if self._process is None or self._process.poll() is not None:
            code = self._process.returncode if self._process else "unknown"
            raise ServiceFailed(f"`stagedoor serve` has ended with code {code}.\n{self.last_lines()}")

    def stop(self, patience: float = _STOP_SECONDS) -> None:
        """Ask it to end, wait for so many seconds and kill its process group; its workers have groups of their own."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def last_lines(self, count: int = 10) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:]) if self.log.exists() else ""

    def _start(self) -> None:
        self.port = _free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
        own = {"STAGEDOOR_DATA_DIR": str(self.data), "STAGEDOOR_PORT": str(self.port)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, "serve", "--workers", str(self._workers)],
                cwd=self._state,
                env={**inherited, **self._settings, **own},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise ServiceFailed(f"`stagedoor serve` does not get ready.\n{self.last_lines()}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
