"""Packages of the repository itself that a `uv.lock` names: their code is used where it is, and nothing is built."""

import tomllib
from pathlib import Path
from typing import Any

from stagedoor.bundling.errors import UnsupportedDependencies
from stagedoor.bundling.requirement_files import local_place


def local_packages(lock: str, lock_folder: Path, project: Path, root: Path) -> tuple[Path, ...]:
    """Return the folders and wheels that a project needs of those that its `uv.lock` names, its own not among them.

    Source of the format: https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile. Raises
    `UnsupportedDependencies` for what is not in the repository `root`, and for a lock that cannot be read.
    """
    try:
        packages = tomllib.loads(lock).get("package", [])
        paths = {package["name"]: _path(package) for package in packages}
        needs = {package["name"]: _needs(package) for package in packages}
        own = next((name for name, path in paths.items() if path and (lock_folder / path).resolve() == project), None)
        found: dict[str, None] = {}
        waiting = [own] if own else []
        while waiting:
            name = waiting.pop()
            if name not in found and name in needs:
                found[name] = None
                waiting += needs[name]
        local = [path for name in found if name != own and (path := paths[name])]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnsupportedDependencies("uv.lock cannot be read.", "Write it again: uv lock.") from None
    return tuple(local_place(path, lock_folder, root) for path in sorted(local))


def _path(package: dict[str, Any]) -> str | None:
    source = package.get("source", {})
    return next((str(source[kind]) for kind in ("editable", "directory", "virtual", "path") if kind in source), None)


def _needs(package: dict[str, Any]) -> list[str]:
    """Return what a package depends on in some environment; extras and groups that nobody asks for do no harm."""
    tables = [
        package.get("dependencies", []),
        *package.get("optional-dependencies", {}).values(),
        *package.get("dev-dependencies", {}).values(),
    ]
    return [str(each["name"]) for table in tables for each in table]
