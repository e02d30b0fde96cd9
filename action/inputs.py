"""The inputs of the step, as `action.yml` hands them on: `INPUT_<NAME>`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from action.refusal import Refused

COMMANDS = ("deploy", "diff", "remove", "outputs")
_ADDRESS = re.compile(r"[!-~]+\Z")


@dataclass(frozen=True)
class Inputs:
    """What the workflow's author wrote; empty where nothing. `timeout` is in seconds."""

    command: str
    app: str
    stage: str
    config: str
    outputs: tuple[str, ...]
    timeout: float
    working_directory: str
    server: str
    github_token: str

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Inputs:
        """Read and check them. Raises `Refused`."""

        def given(name: str, usual: str = "") -> str:
            return environ.get(f"INPUT_{name}", "").strip() or usual

        command = given("COMMAND", "deploy")
        if command not in COMMANDS:
            raise _wrong("command", command, f"Write one of {', '.join(COMMANDS)}.")
        synth = given("SYNTH")
        if synth not in ("", "runner"):
            raise _wrong("synth", synth, "Write `runner`, or leave it out.")
        return cls(
            command=command,
            app=given("APP"),
            stage=given("STAGE"),
            config=given("CONFIG", "stagedoor.toml"),
            outputs=tuple(given("OUTPUTS", "*").replace(",", " ").split()),
            timeout=_minutes(given("TIMEOUT", "60")) * 60,
            working_directory=given("WORKING_DIRECTORY", "."),
            server=_server(given("SERVER")),
            github_token=given("GITHUB_TOKEN"),
        )

    def root(self, workspace: Path) -> Path:
        """Return the checkout's folder. Raises `Refused` where there is none in the workspace."""
        workspace = workspace.resolve()
        root = (workspace / self.working_directory).resolve()
        if root != workspace and workspace not in root.parents:
            raise _wrong("working-directory", self.working_directory, "Name a folder of the workspace.")
        if not root.is_dir():
            raise Refused(
                "no-checkout",
                f"There is no folder {self.working_directory!r} in the workspace.",
                "Let actions/checkout come before this step.",
            )
        around = [folder for folder in (root, *root.parents) if folder.is_relative_to(workspace)]
        checkout = next((folder for folder in around if (folder / ".git").exists()), root)
        if checkout != root:
            at = checkout.relative_to(workspace).as_posix()
            remedy = f"Name the checkout's own, {at!r}, and this one by `app`."
            raise _wrong("working-directory", self.working_directory, remedy)
        return root


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0
    if not 0 < minutes <= 24 * 60:
        raise _wrong("timeout", text, "Write minutes, such as 30.")
    return minutes


def _server(url: str) -> str:
    """Return the service's URL; a token is sent there, so it is https, or this machine."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else ""
    except ValueError:
        host = ""
    if not host or not _ADDRESS.match(url) or "@" in parts.netloc or parts.query or parts.fragment:
        raise _wrong("server", url, "Write it as https://stages.example.com.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_this_machine(host)):
        raise _wrong("server", url, "Only https keeps the token that is sent there to itself.")
    return url.rstrip("/")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(name: str, value: str, remedy: str) -> Refused:
    return Refused("invalid-input", f"The input `{name}` is {value!r}.", remedy)
