"""moto as a process of its own, in an environment of its own (`.stagedoor/moto`, made by `make test`)."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".stagedoor" / "moto" / "bin" / "moto_server"
MOTO_ACCOUNT = "123456789012"
_SECONDS = 60


@contextmanager
def running_moto(log: Path) -> Iterator[dict[str, str]]:
    """Start moto on a free loopback port; yields the environment with which an AWS SDK speaks to it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with (
        log.open("wb") as output,
        subprocess.Popen([PROGRAM, "-H", "127.0.0.1", "-p", str(port)], stdout=output, stderr=output) as server,
    ):
        try:
            _wait(port, server)
            yield {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "moto",
                "AWS_SECRET_ACCESS_KEY": "moto",
                "AWS_REGION": "us-east-1",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        finally:
            server.terminate()


def _wait(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("moto did not start")
