"""Install what bundles lack, once for each set of packages, Python and architecture.

What is installed is a folder `<digest>` of the store, which appears when it is whole. Installing may run a stranger's
code (a `setup.py`), so whoever calls this says by `Run` how commands are run: behind an executor, or as they are where
a person runs `cdk synth` on what is their own.
"""

import fcntl
import hashlib
import importlib.util
import json
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from stagedoor.bundling.errors import BundlingFailed
from stagedoor.bundling.esbuild import ESBUILD, MAIN, install_words
from stagedoor.bundling.installed import check_installed, tidied
from stagedoor.bundling.local_packages import MACHINES
from stagedoor.bundling.package_locks import FOLDER, LOCK, lock_of
from stagedoor.bundling.tools import base_python, find_uv
from stagedoor.bundling.wanted import NodeWanted, PythonWanted

_FORMAT = "1"
"""Raised when equal digests no longer mean equal folders."""

_COMPILED = 120 * 1024**2
"""Bytes of packages that are compiled: bytecode takes as much again, and Lambda allows 250 MB in all."""

_KEPT = 40
"""Sets of packages that a store keeps; those that were used longest ago go first."""


class Run(Protocol):
    """Runs a command and returns its status and what it printed last. `network`: package registries can be reached."""

    def __call__(
        self,
        *argv: str,
        cwd: Path,
        writable: tuple[Path, ...],
        readable: tuple[Path, ...] = (),
        env: dict[str, str] | None = None,
        network: bool = False,
    ) -> tuple[int, str]:
        """Run `argv` in `cwd`; besides the system it sees what is in `readable` and changes what is in `writable`."""


Say = Callable[[str, str], None]
"""Takes a status (`hit` where an earlier result is used) and a message for people."""


@dataclass(frozen=True, slots=True)
class Store:
    """Installed packages below `folder`; `caches` is where the package managers keep what they have fetched."""

    folder: Path
    caches: Path
    run: Run
    say: Say

    def python(self, wanted: PythonWanted) -> Path:
        """Return the folder with the packages. Raises `BundlingFailed`, `WrongArchitecture`, `BundleTooLarge`."""
        what = f"packages for Python {wanted.python} on {wanted.architecture}"
        magic = importlib.util.MAGIC_NUMBER.hex() if _is_ours(wanted.python) else ""
        decides = {**asdict(wanted), "source": "", "compiled": magic}
        return self._made(decides, what, lambda made: self._install_python(wanted, made))

    def node(self, wanted: NodeWanted) -> Path:
        """Return the folder with the packages that are installed beside a bundle. Raises `BundlingFailed`."""
        what = f"{_beside(wanted)} for Node on {wanted.architecture}"
        decides = {**_beside_decides(wanted), "architecture": wanted.architecture, "kind": "node"}
        return self._made(decides, what, lambda made: self._install_node(wanted, made))

    def esbuild(self) -> Path:
        """Return the main file of our own esbuild. Raises `BundlingFailed`."""
        decides = {"esbuild": ESBUILD, "machine": f"{sys.platform} {platform.machine()} {platform.libc_ver()}"}
        return self._made(decides, f"esbuild {ESBUILD}", self._install_esbuild) / MAIN

    def _made(self, decides: Mapping[str, object], what: str, fill: Callable[[Path], None]) -> Path:
        digest = hashlib.sha256(json.dumps([_FORMAT, decides], sort_keys=True).encode()).hexdigest()[:32]
        entry = self.folder / digest
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(entry.with_suffix(".lock")):
            if entry.is_dir():
                entry.touch()
                self.say("hit", f"Installed before: {what}")
                return entry
            for left in self.folder.glob(f"{digest}.*"):  # whoever began these did not live to end them
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
            self._evict()
            self.say("", f"Installing {what}")
            began = time.monotonic()
            made = entry.with_suffix(f".{secrets.token_hex(4)}")
            made.mkdir()
            try:
                fill(made)
                made.rename(entry)
            except BaseException:
                shutil.rmtree(made, ignore_errors=True)
                raise
            self.say("done", f"Installed {what} in {time.monotonic() - began:.1f} s")
        return entry

    def _evict(self) -> None:
        whole = (entry for entry in self.folder.iterdir() if entry.is_dir() and "." not in entry.name)
        entries = sorted(whole, key=lambda entry: entry.stat().st_mtime)
        for entry in entries[: max(0, len(entries) - _KEPT)]:
            shutil.rmtree(entry, ignore_errors=True)

    def _install_python(self, wanted: PythonWanted, made: Path) -> None:
        uv = find_uv()
        if uv is None:
            raise BundlingFailed(
                "A function's packages are installed by uv, and it is not here.",
                "Install it where the app's program runs, and where Stagedoor does: pip install uv.",
            )
        file, never = made / "requirements.txt", made / "never.txt"
        file.write_text(wanted.requirements)
        never.write_text("".join(f'{name} ; python_version < "0"\n' for name in wanted.left_out))
        packages = made / "packages"
        indexes = [word for index in wanted.indexes for word in ("--index", index)]
        if indexes:  # all are asked for each package: it is the lock's hashes that say which one is meant
            indexes += ["--index-strategy", "unsafe-best-match", "--require-hashes"]
        resolving = ("--no-deps",) if wanted.locked else ("--overrides", str(never))
        self._do(
            made,
            *(str(uv), "pip", "install", "--quiet", "--target", str(packages), "-r", str(file), *resolving, *indexes),
            *("--python-version", wanted.python, "--python-platform", _platform(wanted), "--link-mode", "copy"),
            says=f"The packages of {wanted.source or 'a function'} could not be installed "
            f"for Python {wanted.python} on {wanted.architecture}.",
            remedy="See what uv says below: a package without a wheel for it can be replaced or pinned to a version "
            "that has one, or the function's architecture or Python changed.",
        )
        packages.mkdir(exist_ok=True)
        tidied(packages)
        size = check_installed(packages, wanted)
        if _is_ours(wanted.python) and size <= _COMPILED:
            self._compile(packages)
        for passing in (file, never):
            passing.unlink()

    def _compile(self, packages: Path) -> None:
        """Compile as Lambda's own Python would, so that no cold start has to. Not all that packages hold compiles."""
        words = ("-P", "-s", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
        where = ("-s", str(packages), "-p", "/var/task", str(packages))
        self.run(
            *(str(base_python()), *words, *where),
            cwd=packages,
            writable=(packages,),
            env={"PYTHONHASHSEED": "0"},  # sets are written down in the order of their hashes
        )

    def _install_node(self, wanted: NodeWanted, made: Path) -> None:
        package, lock = lock_of(wanted.locked) if wanted.locked else ("{}", "")
        (made / "package.json").write_text(package)
        if lock:
            (made / LOCK).write_text(lock)
        how = ("ci",) if lock else ("install", "--no-save", "--no-package-lock")
        flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent")
        cpu = {"x86_64": "x64", "arm64": "arm64"}[wanted.architecture]
        self._do(
            made,
            *("npm", *how, *flags, f"--cpu={cpu}", "--os=linux", "--libc=glibc", *wanted.install),
            says=f"{_beside(wanted)} could not be installed beside {wanted.source}.",
            remedy="See what npm says below.",
        )
        packages = made / "node_modules"
        for passing in (packages / ".package-lock.json", packages / ".bin"):
            shutil.rmtree(passing) if passing.is_dir() else passing.unlink(missing_ok=True)

    def _install_esbuild(self, made: Path) -> None:
        self._do(
            made,
            *("npm", *install_words(made)),
            says=f"esbuild {ESBUILD} could not be installed.",
            remedy="See what npm says below; or install esbuild in the app: npm i -D esbuild.",
        )

    def _do(self, made: Path, *argv: str, says: str, remedy: str) -> None:
        caches = {name: self.caches / name for name in ("uv", "npm")}
        for directory in caches.values():
            directory.mkdir(parents=True, exist_ok=True)
        env = {
            "UV_CACHE_DIR": str(caches["uv"]),
            "UV_PYTHON": str(base_python()),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "UV_SYSTEM_CERTS": "1",
            "npm_config_cache": str(caches["npm"]),
        }
        status, printed = self.run(*argv, cwd=made, writable=(made, *caches.values()), env=env, network=True)
        if status:
            raise BundlingFailed(says, remedy, detail=printed)


def _beside(wanted: NodeWanted) -> str:
    """Name the packages that are installed beside a bundle, for people: of a lock those that are not in others."""
    tops = (line.partition(" ")[0] for line in wanted.locked if line.count(FOLDER) == 1)
    return ", ".join((*wanted.install, *(place.removeprefix(FOLDER) for place in tops)))


def _beside_decides(wanted: NodeWanted) -> Mapping[str, object]:
    return {"locked": wanted.locked} if wanted.locked else {"install": wanted.install}


def _platform(wanted: PythonWanted) -> str:
    """Return uv's name of the oldest Linux that the function may run on.

    Since Python 3.12 Lambda's runtimes are Amazon Linux 2023 (glibc 2.34), before that Amazon Linux 2 (glibc 2.26):
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html.
    """
    recent = int(wanted.python.partition(".")[2]) >= 12
    return f"{MACHINES[wanted.architecture]}-{'manylinux_2_34' if recent else 'manylinux2014'}"


def _is_ours(python: str) -> bool:
    return python == f"{sys.version_info.major}.{sys.version_info.minor}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel gives back however we end."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
