"""What `stagedoor doctor` looks at on this machine: tools, versions, lock files, the cache, the service."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stagedoor import __version__
from stagedoor.bundling.tools import find_uv
from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.cache import cache_dir
from stagedoor.cli.service import Logins, Service, ServiceRefused, find_server
from stagedoor.cli.service_address import address
from stagedoor.errors import UserError
from stagedoor.synth.program import CLI_VERSION
from stagedoor.synth.recipes import Installer, find_recipes

LEAST_NODE = 20
_SECONDS = 20
_LEFT_OUT = frozenset({".git", ".venv", "node_modules", "cdk.out", ".stagedoor"})
_CDK_VERSION = re.compile(
    r'(?:name = "aws-cdk-lib"\s+version = "|aws-cdk-lib["/=\s:{]*(?:version": ")?)([0-9]+\.[0-9.]+)'
)


class Health(StrEnum):
    """How something is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `remedy` is for what is not good."""

    name: str
    health: Health
    said: str
    remedy: str = ""


def good(name: str, said: str) -> Check:
    """Return that something is as it should be."""
    return Check(name, Health.GOOD, said)


def warning(name: str, said: str, remedy: str) -> Check:
    """Return that something works, and could be better."""
    return Check(name, Health.WARNING, said, remedy)


def bad(name: str, said: str, remedy: str) -> Check:
    """Return that something keeps commands from working."""
    return Check(name, Health.BAD, said, remedy)


def told(name: str, look: Callable[[], Check]) -> Check:
    """Return what a look finds; an error that a person can cure is what is bad."""
    try:
        return look()
    except UserError as error:
        return bad(name, error.what, error.remedy)


def tool_checks() -> Iterator[Check]:
    """Look for the programs that deploys start."""
    yield good("Python", f"{platform.python_version()} ({sys.executable})")
    uv = find_uv()
    if uv is None:
        yield bad("uv", "It is not installed.", "pip install uv")
    else:
        yield good("uv", _said_by(str(uv), "--version") or str(uv))
    yield _node()
    git = _said_by("git", "--version")
    remedy = "Install git: without it an app is known by the name of its folder alone."
    yield good("git", git) if git else warning("git", "It is not installed.", remedy)


def app_checks(app: AppFolder) -> Iterator[Check]:
    """Look at an app's folder: what says which packages it needs, which CDK it has, and whether it makes images."""
    yield told("lock files", lambda: _locks(app))
    yield _versions(app)
    if any(_files(app.path, "Dockerfile")):
        version = _said_by("docker", "version", "--format", "{{.Server.Version}}")
        remedy = "Install Docker and start it: this app has a Dockerfile."
        yield good("Docker", version) if version else bad("Docker", "It does not answer.", remedy)


def cache_check() -> Check:
    """See that the cache can be written, and how large it is."""
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        return bad(
            "cache", f"{folder} cannot be written: {problem.strerror}.", "Name another with STAGEDOOR_CACHE_DIR."
        )
    megabytes = sum(_size(file) for file in _files(folder, "*")) / 1e6
    return good("cache", f"{folder}, {megabytes:,.0f} MB; all of it can be deleted")


def service_check(app: AppFolder | None, server: str | None) -> Check | None:
    """See that the service answers and knows who asks; None where no service is in use."""
    logins = Logins.of_user()
    if server is None and not logins.read():
        return None

    def look() -> Check:
        service = Service.logged_in(find_server(server, None, logins), logins)
        asked = address(app, "doctor") if app else {"repository": "none/none", "app": "none", "stage": "none"}
        with suppress(ServiceRefused):  # whoever is refused a stage is known there
            service.stage(**asked)
        return good("service", f"{service.url} as {logins.read()[service.url]['login']}")

    return told("service", look)


def _node() -> Check:
    version = _said_by("node", "--version")
    remedy = f"Install Node {LEAST_NODE} or newer (https://nodejs.org): the CDK runs on it, for Python apps, too."
    if version is None:
        return bad("Node", "It is not installed.", remedy)
    major = re.match(r"v(\d+)\.", version)
    return (
        good("Node", version)
        if major and int(major[1]) >= LEAST_NODE
        else bad("Node", f"{version} is too old.", remedy)
    )


def _locks(app: AppFolder) -> Check:
    recipes = find_recipes(app.path, app.repository.root)
    if not recipes:
        return good("lock files", "none: the app needs no packages")
    unlocked = [recipe for recipe in recipes if recipe.installer is Installer.PYPROJECT]
    if unlocked:
        return warning("lock files", "pyproject.toml has no lock beside it.", "Run `uv lock`, and commit the uv.lock.")
    return good("lock files", ", ".join(recipe.installer.value for recipe in recipes))


def _versions(app: AppFolder) -> Check:
    said = f"stagedoor {__version__}, which stands in for the CDK CLI {CLI_VERSION}"
    for name in ("uv.lock", "poetry.lock", "requirements.txt", "package-lock.json"):
        for folder in (app.path, app.repository.root):
            file = folder / name
            match = _CDK_VERSION.search(file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else None
            if match and int(match[1].partition(".")[0]) != 2:
                return bad("versions", f"aws-cdk-lib {match[1]}", "Update the app to version 2 of the CDK.")
            if match:
                return good("versions", f"{said}; aws-cdk-lib {match[1]}")
    return good("versions", said)


def _said_by(*words: str) -> str | None:
    """Return the first line that a program says; None where it is not there, or says no."""
    if shutil.which(words[0]) is None:
        return None
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return (done.stdout.strip().splitlines() or [""])[0] or None if done.returncode == 0 else None


def _files(folder: Path, pattern: str) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT] if pattern != "*" else folders
        yield from (Path(place, name) for name in names if pattern in ("*", name))


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:  # another command took it away
        return 0
