"""Docker's command line: builds an image and pushes it.

The registry's credentials are in a configuration folder of their own that only the push sees and that is gone
afterwards; the user's is never written to. A confined build sees no credentials and none of our environment.
"""

import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stagedoor.errors import UserError
from stagedoor.target import ImageBuilds

_SECONDS = 3600.0
_GRACE_SECONDS = 10.0
_LINE = 4_000
_LAST_LINES = 40
_CONFINED = (
    "PATH", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "BUILDX_BUILDER",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip
"""What a confined build's client is told of the environment: how to reach Docker and the network."""

Say = Callable[[str], None]
"""Takes a line that a program printed."""


class NoDocker(UserError):
    """An image has to be built, and there is no Docker here that could."""

    id = "no-docker"


class ImageBuildFailed(UserError):
    """Docker could not build an image."""

    id = "image-build-failed"


class ImagePushFailed(UserError):
    """Docker could not push an image."""

    id = "image-push-failed"


@dataclass(frozen=True, slots=True)
class Docker:
    """A Docker that answered. `environment` is what its builds see; `host` is its address, empty for the default."""

    program: str
    environment: Mapping[str, str]
    host: str
    go_on: Callable[[], None]

    @classmethod
    @contextmanager
    def found(cls, builds: ImageBuilds, go_on: Callable[[], None]) -> Iterator[Self]:
        """Yield this machine's Docker (or what `CDK_DOCKER` names). Raises `NoDocker`.

        `go_on` is called several times a second while a program runs, and stops it by raising.
        """
        program = os.environ.get("CDK_DOCKER", "docker")
        with tempfile.TemporaryDirectory(prefix="stagedoor-docker-") as scratch:
            environment, host = dict(os.environ), _host(program)
            if builds != ImageBuilds.TRUSTED:
                environment = {name: os.environ[name] for name in _CONFINED if name in os.environ}
                environment |= {"HOME": scratch, **_configuration(Path(scratch), host, {})}
            docker = cls(program, environment, host, go_on)
            docker._check()
            yield docker

    def build(self, name: str, arguments: Sequence[str], image: str, say: Say) -> None:
        """Build `image` (registry, repository and tag). Raises `ImageBuildFailed`."""
        last = self._run(["buildx", "build", f"--tag={image}", *arguments], self.environment, say)
        if last is not None:
            raise ImageBuildFailed(
                f"The container image {name!a} could not be built.", "Correct its Dockerfile.", detail="\n".join(last)
            )

    def push(self, image: str, credentials: str, say: Say) -> None:
        """Push an image that was built here; `credentials` are those of its registry: `user:password` in base64.
        Raises `ImagePushFailed`.
        """
        registry = image.partition("/")[0]
        with tempfile.TemporaryDirectory(prefix="stagedoor-docker-") as scratch:
            configuration = _configuration(Path(scratch), self.host, {"auths": {registry: {"auth": credentials}}})
            # A context would come before the address, and this configuration knows none.
            environment = {name: value for name, value in self.environment.items() if name != "DOCKER_CONTEXT"}
            last = self._run(["push", image], environment | configuration, say)
        if last is not None:
            raise ImagePushFailed(
                f"The container image {image} could not be pushed.",
                "See that this machine reaches the registry, and that the publish role may push.",
                detail="\n".join(last),
            )

    def _check(self) -> None:
        for arguments, what in (
            (["buildx", "version"], "has no buildx"),
            (["version", "--format", "{{.Server.Version}}"], "does not answer"),
        ):
            try:
                asked = subprocess.run(
                    [self.program, *arguments],
                    check=False,
                    env=dict(self.environment),
                    capture_output=True,
                    text=True,
                    timeout=30,
                )
            except FileNotFoundError:
                raise _no_docker(f"there is no {self.program!r} here") from None
            except (OSError, subprocess.TimeoutExpired) as error:
                raise _no_docker(f"{self.program!r} {what}", str(error)) from None
            if asked.returncode != 0:
                raise _no_docker(f"{self.program!r} {what}", asked.stderr or asked.stdout)

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str], say: Say) -> list[str] | None:
        """Run Docker, and pass on what it prints. Returns None when it ended well, else its last lines."""
        last: deque[str] = deque(maxlen=_LAST_LINES)
        with subprocess.Popen(
            [self.program, *arguments],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                for line in _lines(process, self.go_on):
                    last.append(line)
                    say(line)
                ended = process.wait() == 0
            except BaseException:
                _end(process)
                raise
        return None if ended else list(last)


def _lines(process: "subprocess.Popen[bytes]", go_on: Callable[[], None]) -> Iterator[str]:
    """Yield what a process prints, line by line, until its output ends."""
    assert process.stdout is not None  # noqa: S101 - asked for above
    descriptor, left, deadline = process.stdout.fileno(), b"", time.monotonic() + _SECONDS
    while True:
        go_on()
        if time.monotonic() > deadline:
            raise ImageBuildFailed("Docker took longer than an hour.", "Make the image smaller, or build it elsewhere.")
        if not select.select([descriptor], [], [], 0.2)[0]:
            continue
        data = os.read(descriptor, 1 << 16)
        *whole, left = (left + data).split(b"\n")
        whole += [left] if left and (not data or len(left) > _LINE) else []
        left = b"" if len(left) > _LINE else left
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")[:_LINE]
        if not data:
            return


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and what it started; a build ends when its client does."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
            return


def _host(program: str) -> str:
    """Return the address of the Docker that the user's context names (Docker Desktop, Colima, …), or nothing."""
    if "DOCKER_HOST" in os.environ:
        return os.environ["DOCKER_HOST"]
    asked = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    with suppress(OSError, subprocess.TimeoutExpired):
        answer = subprocess.run([program, *asked], check=False, capture_output=True, text=True, timeout=30)
        return answer.stdout.strip() if answer.returncode == 0 else ""
    return ""


def _configuration(folder: Path, host: str, content: Mapping[str, object]) -> dict[str, str]:
    """Write a configuration of Docker's client, readable by us alone, and return the variables by which it is used.

    It knows the plugins that the user's knows, but not its contexts: so Docker's address is named.
    """
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    plugins = [str(own / "cli-plugins")]
    with suppress(OSError, ValueError, AttributeError, TypeError):
        plugins += json.loads((own / "config.json").read_text()).get("cliPluginsExtraDirs", [])
    file = folder / "config.json"
    file.touch(0o600)
    file.write_text(json.dumps({**content, "cliPluginsExtraDirs": plugins}))
    return {"DOCKER_CONFIG": str(folder)} | ({"DOCKER_HOST": host} if host else {})


def _no_docker(why: str, detail: str = "") -> NoDocker:
    return NoDocker(
        f"A container image has to be built, but {why}.",
        "Install and start Docker with buildx, or deploy from a machine that has it.",
        detail=detail.strip(),
    )
