"""What a bundle of esbuild's is made of, and which versions of packages are installed beside one."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from stagedoor.bundling.errors import UnsupportedDependencies
from stagedoor.bundling.local_packages import LEFT_OUT
from stagedoor.bundling.package_locks import LOCK, locked_packages
from stagedoor.bundling.source import Source

LOCKS = ("package-lock.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock")


def locked_beside(names: Iterable[str], entry: Path, root: Path, architecture: str) -> tuple[str, ...]:
    """Return what is to be installed for packages, as the nearest `package-lock.json` has it (`package_locks.py`).

    Raises `UnsupportedDependencies` for one that is in none.
    """
    wanted = tuple(names)
    lock = next((folder / LOCK for folder in above(entry, root) if (folder / LOCK).is_file()), None)
    for name in wanted:
        try:
            if lock is None:
                raise KeyError(LOCK)
            locked_packages(lock, (name,), architecture)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UnsupportedDependencies(
                f"{name} is to be installed beside a function, and no {LOCK} says in which version, or not of all that "
                "it needs.",
                f"Run `npm install {name}`, and commit the {LOCK} that it writes.",
            ) from None
    return locked_packages(lock, wanted, architecture) if lock and wanted else ()


def node_digest(source: Source, root: Path, wanted: str) -> str:
    """Return the SHA-256 of what a bundle is made of: its package's files, locks and settings, and what is wanted."""
    digest = hashlib.sha256(wanted.encode())
    package = next((folder for folder in above(source.file, root) if (folder / "package.json").is_file()), source.root)
    files = [*_files(package)]
    files += [
        folder / name
        for folder in above(package, root)
        for name in (*LOCKS, "package.json", "tsconfig.json")
        if (folder / name).is_file()
    ]
    for file in files:
        name = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
        digest.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def above(place: Path, root: Path) -> list[Path]:
    """Return the folders above a place, the nearest first, up to the repository's root."""
    return [folder for folder in place.parents if folder.is_relative_to(root)]


def _files(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in LEFT_OUT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _files(entry)
        elif entry.is_file():
            yield entry
