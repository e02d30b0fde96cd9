"""Install what an app's program needs from its lock file, once for each lock file and trust level.

An environment is a directory `<cache>/<trust>/environments/<digest>.<random>`, and the link `<digest>` beside it, which
appears when the environment is whole: half-made ones are never used, and two at once make one. Synths share it and
cannot change it. Installing may run a stranger's code (a `setup.py`), so it goes through the executor; npm's install
scripts are not run at all, as the tools of CDK apps work without them and much malware does not.
"""

import fcntl
import hashlib
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.synth.executor import Command, Executor

_FORMAT = "1"
"""Raised when the layout of an environment changes, so that older ones are not used."""

TAIL = 40


class UnsupportedDependencies(UserError):
    """The app's dependencies are written down in a way that cannot be installed yet."""

    id = "unsupported-dependencies"


class InstallFailed(UserError):
    """The package manager could not install the app's dependencies."""

    id = "install-failed"


class Installer(StrEnum):
    """How dependencies are written down, and so what installs them."""

    UV = "uv.lock"
    REQUIREMENTS = "requirements.txt"
    PYPROJECT = "pyproject.toml"
    NPM = "package-lock.json"


_NOT_YET = {
    "poetry.lock": "Poetry",
    "Pipfile.lock": "Pipenv",
    "Pipfile": "Pipenv",
    "pdm.lock": "PDM",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "Yarn",
    "bun.lock": "Bun",
    "bun.lockb": "Bun",
}
_PYTHON_NOT_YET = ("poetry.lock", "Pipfile.lock", "Pipfile", "pdm.lock")
_NODE_NOT_YET = ("pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb")
_SUPPORTED = "Commit a uv.lock, requirements.txt or package-lock.json; those are what can be installed now."


@dataclass(frozen=True, slots=True)
class Recipe:
    """One installation: by what, from which folder, and the text that decides its result."""

    installer: Installer
    folder: Path
    text: str


@dataclass(frozen=True, slots=True)
class Environment:
    """What was installed, as a command must see it: first on its path, in its variables, readable, linked in the tree."""

    path: tuple[Path, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()
    node_modules: Path | None = None

    def __or__(self, other: "Environment") -> "Environment":
        return Environment(
            self.path + other.path,
            {**self.variables, **other.variables},
            self.readable + other.readable,
            other.node_modules or self.node_modules,
        )


def find_recipes(app_dir: Path, root: Path) -> list[Recipe]:
    """Return what must be installed for the app: from its own folder, else the nearest one above it, up to `root`.

    Raises `UnsupportedDependencies` for what cannot be installed yet.
    """
    for folder in (app_dir, *app_dir.parents):
        found = [recipe for recipe in (_python_recipe(folder, root), _node_recipe(folder)) if recipe]
        if found or folder == root:
            return found
    return []


def _python_recipe(folder: Path, root: Path) -> Recipe | None:
    project = folder / "pyproject.toml"
    lock = _nearest(folder, root, "uv.lock") if project.is_file() else None
    if lock:
        return Recipe(Installer.UV, folder, _read(lock) + _read(project))
    if (folder / "requirements.txt").is_file():
        return Recipe(Installer.REQUIREMENTS, folder, flatten_requirements(folder / "requirements.txt", root))
    _refuse_not_yet(folder, _PYTHON_NOT_YET)
    if project.is_file() and "project" in tomllib.loads(_read(project)):
        return Recipe(Installer.PYPROJECT, folder, _read(project))
    return None


def _node_recipe(folder: Path) -> Recipe | None:
    lock = folder / "package-lock.json"
    if lock.is_file():
        npmrc = folder / ".npmrc"
        return Recipe(
            Installer.NPM,
            folder,
            "\0".join([_read(lock), _read(folder / "package.json"), _read(npmrc) if npmrc.is_file() else ""]),
        )
    _refuse_not_yet(folder, _NODE_NOT_YET)
    return None


def _refuse_not_yet(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        if (folder / name).exists():
            raise UnsupportedDependencies(f"{_NOT_YET[name]} ({name}) is not supported yet.", _SUPPORTED)


def flatten_requirements(file: Path, root: Path, seen: tuple[Path, ...] = ()) -> str:
    """Return a requirements file with those that it includes (`-r`) in their place, without comments.

    The app's own folder (`-e .`), which older CDK templates name, is left out: it is where the program runs anyway.
    Raises `UnsupportedDependencies` for other local folders and for files outside of the repository.
    """
    lines: list[str] = []
    for line in re.sub(r"\\\n", " ", _read(file)).splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        include = re.match(r"(?:-r|--requirement|-c|--constraint)[\s=]*(\S+)", text)
        if include and text.startswith(("-c", "--c")):
            raise UnsupportedDependencies(
                f"{file.name} names a constraints file, which is not supported yet.", _SUPPORTED
            )
        if include:
            inner = (file.parent / include[1]).resolve()
            if not inner.is_relative_to(root.resolve()) or not inner.is_file() or inner in seen:
                raise UnsupportedDependencies(
                    f"{file.name} includes {include[1]}, which is not a file of the repository, or includes itself.",
                    "Include files of the repository only.",
                )
            lines.append(flatten_requirements(inner, root, (*seen, inner)))
        elif re.match(r"(-e|--editable)[\s=]*\.?/?$|\.$", text) or re.match(r"(-e|--editable)[\s=]+\.$", text):
            continue
        elif re.match(r"(-e|--editable|\.\.?/|/|file:)", text):
            raise UnsupportedDependencies(
                f"{file.name} names a local folder ({text}), which is not supported yet.", _SUPPORTED
            )
        elif text:
            lines.append(text)
    return "\n".join(lines) + "\n"


def install(app_dir: Path, root: Path, cache: Path, executor: Executor, emit: Emit) -> Environment:
    """Return an environment with all that the app's lock files name; `cache` is that of one trust level.

    Raises `UnsupportedDependencies`, `InstallFailed`, and what the executor raises.
    """
    whole = Environment()
    for recipe in find_recipes(app_dir, root):
        whole |= _install_one(recipe, app_dir, root, cache, executor, emit)
    return whole


def _install_one(recipe: Recipe, app_dir: Path, root: Path, cache: Path, executor: Executor, emit: Emit) -> Environment:
    environments = cache / "environments"
    environments.mkdir(parents=True, exist_ok=True)
    digest = _digest(recipe)
    link = environments / digest
    with _locked(environments / f"{digest}.lock"):
        if not link.exists():
            _remove_half_made(environments, digest)
            made = environments / f"{digest}.{secrets.token_hex(4)}"
            made.mkdir()
            try:
                Installation(recipe, made, root, cache, executor, emit).run()
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
            passing = environments / f"{made.name}.link"
            passing.symlink_to(made.name)
            passing.rename(link)
        made = link.resolve()
        if recipe.installer is Installer.NPM:
            return Environment((made / "node_modules" / ".bin",), readable=(made,), node_modules=made / "node_modules")
        _warm(made, app_dir, executor, emit)
    return _python_environment(made, recipe.folder)


def _python_environment(made: Path, folder: Path) -> Environment:
    variables = {
        "VIRTUAL_ENV": str(made / "venv"),
        "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(made / "jsii"),
        # For commands such as `uv run app.py`: what is installed is what the lock says, and stays so.
        "UV_PROJECT_ENVIRONMENT": str(made / "venv"),
        "UV_NO_SYNC": "1",
        "UV_FROZEN": "1",
        "UV_OFFLINE": "1",
        "UV_NO_CACHE": "1",
    }
    if (folder / "src").is_dir():
        variables["PYTHONPATH"] = str(folder / "src")  # the project itself is not installed: its code changes
    tool = find_uv()
    return Environment(
        (made / "venv" / "bin", *((tool.parent,) if tool else ())),
        variables,
        (made, *((tool.parent,) if tool else ())),
    )


@dataclass(frozen=True, slots=True)
class Installation:
    """One run of a package manager into the empty directory `made`."""

    recipe: Recipe
    made: Path
    root: Path
    cache: Path
    executor: Executor
    emit: Emit

    def run(self) -> None:
        """Install, or raise `InstallFailed`."""
        match self.recipe.installer:
            case Installer.NPM:
                self._npm()
            case Installer.UV:
                self._uv()
            case Installer.REQUIREMENTS | Installer.PYPROJECT:
                self._pip()

    def _npm(self) -> None:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            if (self.recipe.folder / name).is_file():
                shutil.copy(self.recipe.folder / name, self.made / name)
        self._do("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--no-progress")

    def _uv(self) -> None:
        uv = find_uv()
        if uv is None:
            raise UnsupportedDependencies("The app has a uv.lock, and uv is not installed here.", "Install uv.")
        self._do(str(uv), "venv", "--quiet", str(self.made / "venv"))
        self._do(str(uv), "sync", "--frozen", "--no-install-local", "--project", str(self.recipe.folder))

    def _pip(self) -> None:
        file = self.made / self.recipe.installer.value
        file.write_text(self.recipe.text)
        uv = find_uv()
        python = str(self.made / "venv" / "bin" / "python")
        if uv:
            self._do(str(uv), "venv", "--quiet", str(self.made / "venv"))
            self._do(str(uv), "pip", "install", "--python", python, "-r", str(file))
        elif self.recipe.installer is Installer.PYPROJECT:
            raise UnsupportedDependencies(
                "The app has a pyproject.toml without a lock, and uv is not installed here.", "Install uv."
            )
        else:
            self._do(str(base_python()), "-m", "venv", str(self.made / "venv"))
            self._do(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(file))

    def _do(self, *argv: str) -> None:
        caches = {name: self.cache / name for name in ("uv", "pip", "npm")}
        for directory in caches.values():
            directory.mkdir(exist_ok=True)
        run_logged(
            self.executor,
            self.emit,
            Command(
                "install",
                argv,
                self.made,
                {
                    "UV_CACHE_DIR": str(caches["uv"]),
                    "UV_PROJECT_ENVIRONMENT": str(self.made / "venv"),
                    "UV_PYTHON": str(base_python()),
                    "UV_PYTHON_DOWNLOADS": "never",
                    "UV_NO_PROGRESS": "1",
                    "PIP_CACHE_DIR": str(caches["pip"]),
                    "npm_config_cache": str(caches["npm"]),
                },
                readable=(self.root, *((uv.parent,) if (uv := find_uv()) else ())),
                writable=(self.made, *caches.values()),
                network=True,
            ),
        )


def run_logged(executor: Executor, emit: Emit, command: Command) -> None:
    """Run one step of an installation, its lines to the log; raise `InstallFailed` unless it ends well."""
    lines: list[str] = []

    def on_line(line: str) -> None:
        lines.append(line)
        del lines[:-TAIL]
        emit(Event(EventKind.LOG, command.name, message=line))

    if executor.run(command, on_line).status != 0:
        raise InstallFailed(
            "The app's dependencies could not be installed.",
            f"See whether `{Path(command.argv[0]).name} {' '.join(command.argv[1:3])}` works with the committed lock file.",
            detail="\n".join(lines),
        )


_IMPORT_ALL = """
import contextlib, importlib, sys
for name in sys.argv[1:]:
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
"""


def _warm(made: Path, app_dir: Path, executor: Executor, emit: Emit) -> None:
    """Compile the CDK modules that the app imports and unpack them for Node, while the environment may be written.

    A synth cannot write there, and would do both each time. Only names of modules are taken from the app.
    """
    modules = _cdk_modules(app_dir, made)
    if not modules:
        return
    marker = made / f"warm-{hashlib.sha256(' '.join(modules).encode()).hexdigest()[:16]}"
    if marker.exists():
        return
    python = str(made / "venv" / "bin" / "python")
    env = {"JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(made / "jsii")}
    command = Command("install", (python, "-I", "-c", _IMPORT_ALL, *modules), made, env, (made,), (made,))
    executor.run(command, lambda _line: None)
    marker.touch()


def _cdk_modules(app_dir: Path, made: Path) -> list[str]:
    """Return the modules of `aws_cdk` whose names appear in the app's Python files."""
    library = next(made.glob("venv/lib/python*/site-packages/aws_cdk"), None)
    if library is None:
        return []
    known = {entry.name for entry in library.iterdir() if (entry / "__init__.py").is_file()}
    words: set[str] = set()
    for directory, folders, files in os.walk(app_dir):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in ("node_modules", "cdk.out")]
        for name in files:
            if name.endswith(".py"):
                words |= set(re.findall(r"\baws_\w+|\b\w+(?=\s+as\b)", _read(Path(directory, name))))
    return ["aws_cdk", *sorted(f"aws_cdk.{name}" for name in known & words)]


def find_uv() -> Path | None:
    """Return uv's program: beside this Python, in this checkout's own tools, or on the path."""
    for folder in (Path(sys.executable).parent, Path(__file__).parents[2] / ".stagedoor" / "uv" / "bin"):
        if (folder / "uv").is_file():
            return folder / "uv"
    found = shutil.which("uv")
    return Path(found) if found else None


def base_python() -> Path:
    """Return the interpreter that environments are made with: ours, outside of our own environment."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return Path(shutil.which(name, path=f"{sys.base_prefix}/bin") or sys.executable)


def _digest(recipe: Recipe) -> str:
    runtime = _node_version() if recipe.installer is Installer.NPM else f"{sys.version} {base_python()}"
    parts = (_FORMAT, recipe.installer, recipe.text, runtime, platform.platform(), platform.machine())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _node_version() -> str:
    node = shutil.which("node")
    if node is None:
        raise UnsupportedDependencies(
            "The app needs Node, and node is not installed here.", "Install Node 20 or newer."
        )
    return subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel gives back however we end."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_half_made(environments: Path, digest: str) -> None:
    for left in environments.glob(f"{digest}.*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)


def _nearest(folder: Path, root: Path, name: str) -> Path | None:
    for place in (folder, *folder.parents):
        if (place / name).is_file():
            return place / name
        if place == root:
            return None
    return None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
