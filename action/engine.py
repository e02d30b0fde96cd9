"""Mode 3: the deploy engine, from the action's own checkout, in an environment that is cached between runs.

Only what the engine depends on is installed, as `uv.lock` pins it with hashes; its own code is run from where it is.
What only an app's own program imports (aws-cdk-lib and its kernel) is left out: the engine never does.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from action.refusal import Refused
from action.runner import Runner

ROOT = Path(__file__).resolve().parents[1]
UV_VERSION = "0.13.8"
_LEFT_OUT = ("aws-cdk-lib", "constructs", "jsii")
_NOT_HANDED_ON = ("INPUT_", "ACTIONS_", "AWS_", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
_SECONDS = 600
_DONE = ".installed"


@dataclass(frozen=True)
class Engine:
    """Where the engine's environment is, and the key under which it is cached: all that decides it."""

    folder: Path
    key: str

    @property
    def python(self) -> Path:
        """The interpreter that runs the engine."""
        return self.folder / "bin" / "python"

    @property
    def ready(self) -> bool:
        """Whether it is installed whole, and its interpreter is still there: a cache outlives a runner's image."""
        return (self.folder / _DONE).is_file() and self.python.exists()


def find_engine(environ: Mapping[str, str], version: tuple[int, ...] = sys.version_info[:2]) -> Engine:
    """Return where the engine is to be. Raises `Refused` for a Python that it does not run on."""
    if tuple(version) < (3, 11):
        raise Refused(
            "old-python",
            f"The deploy engine needs Python 3.11 or newer, and python3 is {'.'.join(map(str, version))}.",
            "Let actions/setup-python come before this step; or name a `server`, and nothing is installed.",
        )
    lock = hashlib.sha256((ROOT / "uv.lock").read_bytes()).hexdigest()
    told = "\n".join([lock, UV_VERSION, sys.version, platform.system(), platform.machine(), *_LEFT_OUT])
    digest = hashlib.sha256(told.encode()).hexdigest()[:24]
    place = environ.get("RUNNER_TOOL_CACHE") or environ.get("RUNNER_TEMP") or "/tmp"  # noqa: S108 - outside of runners
    return Engine(Path(place) / "stagedoor" / digest, f"stagedoor-engine-{digest}")


def install(engine: Engine, environ: Mapping[str, str], runner: Runner) -> None:
    """Install what the engine depends on, unless the cache had it. Raises `Refused`."""
    if engine.ready:
        return
    shutil.rmtree(engine.folder, ignore_errors=True)
    engine.folder.parent.mkdir(parents=True, exist_ok=True)
    env = {name: value for name, value in environ.items() if not name.startswith(_NOT_HANDED_ON)}
    env |= {"UV_PROJECT_ENVIRONMENT": str(engine.folder), "UV_SYSTEM_CERTS": "1"}
    without = [word for name in _LEFT_OUT for word in ("--no-install-package", name)]
    with runner.group("Install the deploy engine"):
        # Not the job's own uv, of whatever age. The engine installs apps' dependencies with this one, too.
        _call([sys.executable, "-I", "-m", "venv", str(engine.folder)], env, runner)
        pip = [str(engine.python), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
        _call([*pip, f"uv=={UV_VERSION}"], env, runner)
        _call(
            [str(engine.folder / "bin" / "uv"), "sync", "--frozen", "--inexact", "--no-install-project",
             "--no-default-groups", *without, "--project", str(ROOT)], env, runner)  # fmt: skip
    (engine.folder / _DONE).touch()


def _call(argv: list[str], env: Mapping[str, str], runner: Runner) -> None:
    """Run a program. Not in the checkout: Python and uv take modules and settings from the folder that they run in."""
    try:
        done = subprocess.run(
            argv, cwd=ROOT, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise _not_installed(f"{Path(argv[0]).name} took longer than {_SECONDS} s", "") from None
    said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()
    if said:
        runner.line(said, "install")
    if done.returncode != 0:
        raise _not_installed(f"{Path(argv[0]).name} ended with {done.returncode}", said)


def _not_installed(why: str, said: str) -> Refused:
    return Refused(
        "engine-not-installed",
        f"The deploy engine could not be installed: {why}.",
        "Its last lines say why; most often the package index could not be reached.",
        detail="\n".join(said.splitlines()[-20:]),
    )
