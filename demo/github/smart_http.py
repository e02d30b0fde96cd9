"""git's smart HTTP protocol, served by git's own `http-backend` as a CGI program.

Source of the contract: https://git-scm.com/docs/git-http-backend and RFC 3875.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CgiRequest:
    """What a CGI program is told of a request. `user` is who was let in."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    user: str


@dataclass(frozen=True, slots=True)
class CgiAnswer:
    """What a CGI program said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def serve_git(root: Path, request: CgiRequest) -> CgiAnswer:
    """Answer one request of a git client for a repository below `root`; only reading is served."""
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "REQUEST_METHOD": request.method,
        "REMOTE_USER": request.user,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
    }
    result = subprocess.run(
        ["git", "-c", "http.receivepack=false", "-c", "safe.directory=*", "http-backend"],
        env=environment,
        input=request.body,
        capture_output=True,
        check=False,
    )
    return _parse(result.stdout)


def _parse(output: bytes) -> CgiAnswer:
    head, _, body = output.partition(b"\r\n\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head.decode().splitlines())]
    status = next((value for name, value in headers if name.lower() == "status"), "200")
    return CgiAnswer(int(status.split()[0]), [pair for pair in headers if pair[0].lower() != "status"], body)
