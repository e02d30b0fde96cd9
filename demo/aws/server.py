"""A local AWS for the demo and the tests: ministack, started on a free loopback port and ended for good.

Facts about ministack 1.5.33 that shape it: an access key of twelve digits is the account; an HTTP API answers to its
Host header; the workers of Lambda functions are its children and stay in its process group.
"""

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = _ROOT / ".stagedoor" / "ministack" / "bin" / "ministack"
_START_SECONDS = 60.0
_STOP_SECONDS = 3.0
_INHERITED = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")
_ATTEMPTS = 3
DEFAULT_ACCOUNT = "000000000001"
"""Whose a request is that nobody signed, as those to an HTTP API: only its stages have URLs that answer."""


class LocalAwsFailed(RuntimeError):
    """The local AWS did not start; the message ends with the last lines of its log."""


class LocalAws:
    """A running local AWS; use it as a context manager.

    `state` is a directory of its own for what it writes: its log, temporary files and, with `persist`, the state that
    the next start on the same directory finds again. `port` is a free one unless given. With `authorize` it asks each
    call's policies, as AWS does, and keys that are an account's number are those of its root; without it
    all may do all.
    """

    def __init__(self, state: Path, *, persist: bool = False, port: int | None = None, authorize: bool = False) -> None:
        self._state = state
        self._persist = persist
        self._authorize = authorize
        self._wanted_port = port
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def endpoint(self) -> str:
        """The URL that `AWS_ENDPOINT_URL` takes."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process's id, which is also its process group's; None when it does not run."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and return when it answers. Another process may take the free port first: then try another."""
        for attempt in range(1, _ATTEMPTS + 1):
            self.port = self._wanted_port or _free_port()
            self._process = self._spawn()
            try:
                self._await_ready()
                return
            except LocalAwsFailed:
                self.stop()
                if self._wanted_port or attempt == _ATTEMPTS:
                    raise

    def stop(self) -> None:
        """End it and everything that it started. Asked once, it may wait for open connections: then it is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        # The group outlives its leader: functions' workers are in it, and one of them may be in the middle of a call.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS if self._persist else 0.5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _await_end_of_group(process.pid)

    def environment(self, account: str = DEFAULT_ACCOUNT, region: str = "us-east-1") -> dict[str, str]:
        """Return the environment variables with which any AWS SDK speaks to this AWS as `account` (twelve digits)."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def url_for(self, output_url: str) -> tuple[str, str]:
        """Return where a URL of a stack's outputs answers here: the URL to call and the Host header to send with it."""
        parts = urlsplit(output_url)
        label, _, rest = (parts.hostname or "").partition(".")
        # A function's own URL is known by its region as well.
        service = ".".join(rest.split(".")[: 2 if rest.startswith("lambda-url.") else 1])
        url = urlunsplit(("http", f"127.0.0.1:{self.port}", parts.path or "/", parts.query, ""))
        return url, f"{label}.{service}.localhost:{self.port}"

    def _spawn(self) -> subprocess.Popen[bytes]:
        scratch = self._state / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        with (self._state / "ministack.log").open("ab") as log:
            return subprocess.Popen(
                [str(_PROGRAM)],
                cwd=self._state,
                env=self._own_environment(os.environ, scratch),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _own_environment(self, inherited: Mapping[str, str], scratch: Path) -> dict[str, str]:
        environment = {name: inherited[name] for name in _INHERITED if name in inherited}
        environment |= {
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": DEFAULT_ACCOUNT,
            "TMPDIR": str(scratch),
            "STATE_DIR": str(self._state / "state"),
            "S3_DATA_DIR": str(self._state / "s3"),
            "LOG_LEVEL": "WARNING",
        }
        if self._authorize:
            environment["AUTH"] = "true"
        if self._persist:
            environment |= {"PERSIST_STATE": "1", "S3_PERSIST": "1"}
        return environment

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            if self._answers():
                return
            time.sleep(0.02)
        raise LocalAwsFailed(f"The local AWS did not start on port {self.port}. {self._last_lines()}")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/_ministack/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _last_lines(self) -> str:
        log = self._state / "ministack.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.exists() else ""


def _await_end_of_group(group: int) -> None:
    """Wait until the kernel has taken the last of a killed group away: orphans are reaped by somebody else."""
    deadline = time.monotonic() + _STOP_SECONDS
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.01)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
