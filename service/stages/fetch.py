"""Fetch one commit of a repository into a tree that holds no credentials.

The token reaches git through its environment (`GIT_CONFIG_*`), so it is neither in a command line that `ps` shows nor
in a file that the tree keeps. Nothing of the machine's own git configuration applies, no hook and no filter runs.
"""

import base64
import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind

FETCH_SECONDS = 300


class CommitNotFound(UserError):
    """The commit is not in the repository; a force push may have taken it away."""

    id = "commit-not-found"


class FetchFailed(Exception):
    """Git could not fetch: the network's or GitHub's doing, to be tried again."""


def fetch_commit(clone_url: str, commit: str, token: str, folder: Path, emit: Emit) -> Path:
    """Put the files of `commit` into `folder`, which must not exist yet, and return it. `commit` is a full SHA."""
    folder.mkdir(parents=True)
    environment = _environment(clone_url, token, home=folder.parent)
    try:
        for arguments in (
            ["init", "--quiet", "--template="],
            ["fetch", "--quiet", "--depth=1", "--no-tags", clone_url, commit],
            ["-c", "advice.detachedHead=false", "checkout", "--quiet", "FETCH_HEAD"],
        ):
            _git(arguments, folder, environment, commit)
    finally:
        shutil.rmtree(folder / ".git", ignore_errors=True)
    if (folder / ".gitmodules").exists():
        emit(
            Event(
                EventKind.WARNING,
                "fetch",
                message="The repository has submodules. They are not fetched, as the token is good for one repository.",
            )
        )
    return folder


def _git(arguments: list[str], folder: Path, environment: dict[str, str], commit: str) -> None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FetchFailed(f"git {arguments[0]} took longer than {FETCH_SECONDS} s") from None
    if done.returncode == 0:
        return
    said = done.stderr.strip()
    if any(sign in said for sign in ("not our ref", "couldn't find remote ref", "no such remote ref")):
        raise CommitNotFound(
            f"The commit {commit[:12]} is not in the repository: it was never pushed, or a force push took it away.",
            "Push it; for a pull request's preview also close and reopen.",
        )
    raise FetchFailed(f"git {arguments[0]} failed: {said[-500:]}")


def _environment(clone_url: str, token: str, home: Path) -> dict[str, str]:
    credentials = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    parts = urlsplit(clone_url)
    config = {
        f"http.{parts.scheme}://{parts.netloc}/.extraHeader": f"Authorization: Basic {credentials}",
        "credential.helper": "",
        "core.hooksPath": os.devnull,
        "core.symlinks": "true",
        "http.followRedirects": "initial",
        # A connection that has gone silent ends git itself; our own limit would leave its helper process behind.
        "http.lowSpeedLimit": "1000",  # bytes a second
        "http.lowSpeedTime": "60",  # seconds
        "protocol.file.allow": "never",
        "safe.directory": "*",
    }
    passed = (
        "PATH",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "GIT_SSL_CAINFO",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "LANG",
    )
    environment = {name: os.environ[name] for name in passed if name in os.environ}
    environment |= {
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "https:http",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_CONFIG_COUNT": str(len(config)),
    }
    for index, (key, value) in enumerate(config.items()):
        environment[f"GIT_CONFIG_KEY_{index}"] = key
        environment[f"GIT_CONFIG_VALUE_{index}"] = value
    return environment
