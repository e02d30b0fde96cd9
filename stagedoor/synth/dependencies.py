"""Install what an app's program needs from its lock file, once for each lock file and trust level.

An environment is a directory `<cache>/environments/<digest>.<random>`, and the link `<digest>` beside it, which appears
when the environment is whole: half-made ones are never used, and two at once make one. Synths share it and cannot
change it. Installing may run a stranger's code (a `setup.py`), so it goes through the executor; npm's install scripts
are not run at all, as the tools of CDK apps work without them and much malware does not.
"""

import fcntl
import hashlib
import os
import platform
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stagedoor.bundling.requirement_files import import_root
from stagedoor.bundling.tools import base_python, find_uv
from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.synth.above import settings_above
from stagedoor.synth.executor import Command, Executor
from stagedoor.synth.recipes import Installer, Recipe, UnsupportedDependencies, find_recipes, node_recipe
from stagedoor.synth.tree import exists, read_text
from stagedoor.synth.warming import warm

TAIL = 40
"""Lines of a failed command's output that its error keeps."""

HEAD = 20
"""Lines from the beginning that it keeps, too, of an installer: npm says what is wrong first, and its usage after."""

_WHOLE = ".stagedoor"
"""An empty file among the packages of Node, which goes when they go."""

_FORMAT = "2"
"""Raised when the layout of an environment changes, so that older ones are not used."""


class InstallFailed(UserError):
    """The package manager could not install the app's dependencies."""

    id = "install-failed"


@dataclass(frozen=True, slots=True)
class Environment:
    """What was installed, as a command must see it: first on its path, in its variables, readable to it.

    `made` are the folders that were made for it; one that is made anew has another name.
    """

    path: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()
    node_modules: Path | None = None
    made: tuple[Path, ...] = ()

    def __or__(self, other: "Environment") -> "Environment":
        return Environment(
            self.path + other.path,
            {**self.variables, **other.variables},
            self.readable + other.readable,
            other.node_modules or self.node_modules,
            self.made + other.made,
        )


def install(app_dir: Path, root: Path, cache: Path, executor: Executor, emit: Emit) -> Environment:
    """Return an environment with all that the app's lock files name; `cache` is that of one trust level.

    Raises `UnsupportedDependencies`, `InstallFailed`, and what the executor raises.
    """
    whole = Environment()
    for recipe in find_recipes(app_dir, root):
        installation = _Installation(recipe, root, cache, executor, emit)
        with _locked(installation.link.with_suffix(".lock")):
            made = installation.ensure()
            if recipe.installer is not Installer.NPM:
                warm(made, app_dir, executor, emit)
        whole |= _node_environment(made) if recipe.installer is Installer.NPM else _python_environment(made, recipe)
    return whole


def installed(app_dir: Path, root: Path, cache: Path) -> Environment | None:
    """Return what `install` would, where all is installed already; else None."""
    whole = Environment()
    for recipe in find_recipes(app_dir, root):
        made = (cache / "environments" / _digest(recipe)).resolve()
        if not (made / ("venv" if recipe.installer is not Installer.NPM else f"node_modules/{_WHOLE}")).exists():
            return None
        whole |= _node_environment(made) if recipe.installer is Installer.NPM else _python_environment(made, recipe)
    return whole


def install_packages(folder: Path, root: Path, cache: Path, executor: Executor, emit: Emit) -> Environment:
    """Return an environment with the packages of Node that code in `folder` of the repository asks for.

    It is empty where a `node_modules` is there already, or none is asked for. Raises as `install` does.
    """
    for place in (folder, *folder.parents):
        if exists(place / "node_modules"):
            break
        if recipe := node_recipe(place, root):
            installation = _Installation(recipe, root, cache, executor, emit)
            with _locked(installation.link.with_suffix(".lock")):
                return _node_environment(installation.ensure())
        if place == root:
            break
    return Environment()


@dataclass(frozen=True, slots=True)
class _Installation:
    """A recipe carried out in one trust level's cache."""

    recipe: Recipe
    root: Path
    cache: Path
    executor: Executor
    emit: Emit

    @property
    def link(self) -> Path:
        """Where the whole environment is found."""
        folder = self.cache / "environments"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / _digest(self.recipe)

    def ensure(self) -> Path:
        """Return the environment's directory; make it if there is none. Whoever calls this holds the lock."""
        link = self.link
        if link.exists() and self._is_whole(link):
            return link.resolve()
        link.unlink(missing_ok=True)
        for left in link.parent.glob(f"{link.name}.*"):  # whoever began these did not live to end them
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        made = link.with_suffix(f".{secrets.token_hex(4)}")
        made.mkdir()
        try:
            self._fill(made)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        passing = link.with_suffix(".link")
        passing.unlink(missing_ok=True)
        passing.symlink_to(made.name)
        passing.rename(link)
        return made.resolve()

    def _is_whole(self, made: Path) -> bool:
        """Say whether nobody emptied it: a killed synth leaves a link to it in the app's folder, for npm to follow."""
        return self.recipe.installer is not Installer.NPM or (made / "node_modules" / _WHOLE).exists()

    def _fill(self, made: Path) -> None:
        match self.recipe.installer:
            case Installer.NPM:
                self._npm(made)
            case Installer.UV:
                uv = str(self._uv())
                self._do(made, uv, "venv", "--quiet", "--no-project", str(made / "venv"))
                self._do(made, uv, "sync", "--frozen", "--no-install-local", "--project", str(self.recipe.folder))
                if wheels := [str(wheel) for wheel in self.recipe.wheels]:
                    python = str(made / "venv" / "bin" / "python")
                    self._do(made, uv, "pip", "install", "--python", python, "--no-deps", *wheels)
            case Installer.REQUIREMENTS if find_uv() is None:
                self._pip(made)
            case _:
                uv, python = str(self._uv()), str(made / "venv" / "bin" / "python")
                self._do(made, uv, "venv", "--quiet", "--no-project", str(made / "venv"))
                self._do(made, uv, "pip", "install", "--python", python, *self._words(made))

    def _npm(self, made: Path) -> None:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            if exists(self.recipe.folder / name):
                (made / name).write_text(read_text(self.recipe.folder / name, self.root))
        self._do(made, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
        (made / "node_modules").mkdir(exist_ok=True)
        (made / "node_modules" / _WHOLE).touch()

    def _pip(self, made: Path) -> None:
        """Install as `uv pip` would, slower, where there is no uv."""
        python = str(made / "venv" / "bin" / "python")
        self._do(made, str(base_python()), "-m", "venv", str(made / "venv"))
        self._do(made, python, "-m", "pip", "install", "--quiet", *self._words(made))

    def _words(self, made: Path) -> tuple[str, ...]:
        """Return what is installed, as pip and uv are told: all that a lock names, or what requirements lead to."""
        whole = self.recipe.installer is Installer.PYPROJECT and not self.recipe.local
        file = made / ("pyproject.toml" if whole else "requirements.txt")
        wheels = "".join(f"{wheel}\n" for wheel in self.recipe.wheels)
        file.write_text(self.recipe.text + wheels)
        locked = self.recipe.installer in (Installer.POETRY, Installer.PIPENV)
        return ("-r", str(file), *(("--no-deps",) if locked else ()))

    def _uv(self) -> Path:
        uv = find_uv()
        if uv is None:
            raise UnsupportedDependencies(
                f"The app's dependencies are in a {self.recipe.installer.value}, and uv is not installed here.",
                "Install uv beside Stagedoor: pip install uv.",
            )
        return uv

    def _do(self, made: Path, *argv: str) -> None:
        caches = {name: self.cache / name for name in ("uv", "pip", "npm")}
        for directory in caches.values():
            directory.mkdir(exist_ok=True)
        command = Command(
            name="install",
            argv=argv,
            cwd=made,
            env={
                "UV_CACHE_DIR": str(caches["uv"]),
                "UV_PROJECT_ENVIRONMENT": str(made / "venv"),
                "UV_PYTHON": str(base_python()),
                "UV_PYTHON_DOWNLOADS": "never",
                "UV_NO_PROGRESS": "1",
                "UV_SYSTEM_CERTS": "1",  # a company signs its registry itself
                "PIP_CACHE_DIR": str(caches["pip"]),
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "npm_config_cache": str(caches["npm"]),
            },
            readable=(self.root, *settings_above(self.root), *settings_above(made), *_uv_folder()),
            writable=(made, *caches.values()),
            network=True,
        )
        printed: list[str] = []
        if self.executor.run(command, to_log(command.name, printed, self.emit, HEAD)).status != 0:
            raise InstallFailed(
                f"The app's dependencies could not be installed from its {self.recipe.installer.value}.",
                "Install them from the committed file on another machine; what the installer printed last is below.",
                detail="\n".join(printed),
            )


def to_log(name: str, printed: list[str], emit: Emit, head: int = 0) -> Callable[[str], None]:
    """Return what gives each line to the run's log and keeps the last ones, and the first `head`, in `printed`."""

    def on_line(line: str) -> None:
        printed.append(line)
        if len(printed) > head + TAIL:
            printed[head:-TAIL] = ["…"] if head else []
        emit(Event(EventKind.LOG, name, message=line))

    return on_line


def _node_environment(made: Path) -> Environment:
    return Environment(
        (made / "node_modules" / ".bin",), readable=(made,), node_modules=made / "node_modules", made=(made,)
    )


def _python_environment(made: Path, recipe: Recipe) -> Environment:
    variables = {
        "VIRTUAL_ENV": str(made / "venv"),
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(made / "jsii"),
        # For an app run by `uv run`: what is installed is what the lock says, and stays so.
        "UV_PROJECT_ENVIRONMENT": str(made / "venv"),
        "UV_NO_SYNC": "1",
        "UV_OFFLINE": "1",
        "UV_NO_CACHE": "1",
    }
    # The repository's own code changes: it is not installed.
    own = [recipe.folder / "src"] if (recipe.folder / "src").is_dir() else []
    if paths := [*own, *(import_root(place) for place in recipe.local if place.is_dir())]:
        variables["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    return Environment((made / "venv" / "bin", *_uv_folder()), variables, (made, *_uv_folder()), made=(made,))


def _uv_folder() -> tuple[Path, ...]:
    uv = find_uv()
    return (uv.parent,) if uv else ()


def _digest(recipe: Recipe) -> str:
    runtime = _node_version() if recipe.installer is Installer.NPM else f"{sys.version} {base_python()}"
    parts = (
        _FORMAT,
        recipe.installer.value,
        recipe.text,
        *(hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in recipe.wheels),
        runtime,
        sys.platform,
        platform.machine(),
        *platform.libc_ver(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _node_version() -> str:
    node = shutil.which("node")
    if node is None:
        raise UnsupportedDependencies("The app needs Node, and it is not installed here.", "Install Node 20 or newer.")
    return subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel gives back however we end."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
