"""The CDK CLI and our own command as a person starts them: processes in an app's folder, each with its own account."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CDK = Path(__file__).parent / "peers" / "node_modules" / ".bin" / "cdk"
CACHE = ROOT / ".stagedoor" / "cache"
"""Our cache, kept between benchmarks as a person's is between commands: the CDK library is installed once."""

TAIL = 3000
_SHELL = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
_SECONDS = 600


class PeerFailed(RuntimeError):
    """A command ended with an error; the message has the end of what it printed."""


@dataclass(frozen=True)
class Program:
    """A command line tool in a folder. `environment` is all that it has beside a shell's few variables."""

    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    more: tuple[str, ...] = ()

    def __call__(self, *words: str) -> str:
        """Run it to its end and return what it printed on stdout. Raises `PeerFailed`."""
        shell = {name: os.environ[name] for name in _SHELL if name in os.environ}
        done = subprocess.run(
            [*self.words, *words, *self.more],
            cwd=self.folder,
            env={**shell, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode:
            said = f"{done.stdout[-TAIL:]}\n{done.stderr[-TAIL:]}"
            raise PeerFailed(f"{' '.join((*self.words, *words))} ended with {done.returncode}:\n{said}")
        return done.stdout

    def at(self, folder: Path, **environment: str) -> "Program":
        """Return the same tool in another folder, with more in its environment."""
        return replace(self, folder=folder, environment={**self.environment, **environment})


def cdk_cli(folder: Path, account: Mapping[str, str], home: Path, python: Path | None = None) -> Program:
    """Return the CDK CLI, with all that would ask the internet turned off.

    `home` is its own: it remembers there which account a key belongs to. `python` is the environment of the app.
    Usage reports are off because ours are: they would be one more resource in each stack.
    """
    home.mkdir(parents=True, exist_ok=True)
    path = os.environ["PATH"]
    environment = {
        **account,
        "CDK_HOME": str(home),
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "CDK_DISABLE_VERSION_CHECK": "true",
        "CI": "true",
        "NODE_NO_WARNINGS": "1",
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20,22",
        "PATH": f"{python / 'bin'}:{path}" if python else path,
    }
    return Program((str(CDK),), folder, environment, ("--no-notices", "--no-version-reporting"))


def stagedoor_cli(folder: Path, account: Mapping[str, str]) -> Program:
    """Return our command, as it is installed beside this Python."""
    program = Path(sys.executable).parent / "stagedoor"
    return Program((str(program),), folder, {**account, "STAGEDOOR_CACHE_DIR": str(CACHE)})


def versions() -> dict[str, str]:
    """Return the versions of what is no Python package: Node and the CDK CLI."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    cdk = json.loads((CDK.parents[1] / "aws-cdk" / "package.json").read_text())["version"]
    return {"node": node.lstrip("v"), "aws-cdk (npm)": cdk}
