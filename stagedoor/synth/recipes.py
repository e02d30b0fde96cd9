"""What must be installed for an app: found from the files of its folder, decided without running anything."""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from stagedoor.bundling.errors import UnsupportedDependencies
from stagedoor.bundling.locks import Locked, pipenv_locked, poetry_locked
from stagedoor.bundling.requirement_files import (
    SUPPORTED,
    is_project,
    local_place,
    read_project,
    read_requirements,
)
from stagedoor.errors import Location
from stagedoor.synth.local_packages import local_packages
from stagedoor.synth.tree import exists, read_text

__all__ = ["Installer", "Recipe", "UnsupportedDependencies", "find_recipes", "node_recipe"]

_PYTHON_NOT_YET = {"Pipfile": "Pipenv, without its Pipfile.lock", "pdm.lock": "PDM"}
_NODE_NOT_YET = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "Yarn", "bun.lock": "Bun", "bun.lockb": "Bun"}


class Installer(StrEnum):
    """How dependencies are written down, and so what installs them."""

    UV = "uv.lock"
    REQUIREMENTS = "requirements.txt"
    POETRY = "poetry.lock"
    PIPENV = "Pipfile.lock"
    PYPROJECT = "pyproject.toml"
    NPM = "package-lock.json"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One installation: by what, from which folder, and the text that decides its result.

    `local` are packages of the repository itself: folders, which are imported from where they are, and wheels.
    """

    installer: Installer
    folder: Path
    text: str
    local: tuple[Path, ...] = ()

    @property
    def wheels(self) -> tuple[Path, ...]:
        """The wheels among the local packages."""
        return tuple(place for place in self.local if place.suffix == ".whl")


def find_recipes(app_dir: Path, root: Path) -> list[Recipe]:
    """Return what must be installed for the app: from its own folder, else from the nearest above it, up to `root`.

    Raises `UnsupportedDependencies` for what cannot be installed yet. An app may need both Python and Node packages.
    """
    for folder in (app_dir, *app_dir.parents):
        found = [recipe for recipe in (_python_recipe(folder, root), node_recipe(folder, root)) if recipe]
        if found:
            return found
        if folder == root:
            break
    _refuse_without_lock(app_dir, root)
    return []


def _python_recipe(folder: Path, root: Path) -> Recipe | None:
    def read(file: Path) -> str:
        return read_text(file, root)

    def locked(installer: Installer, found: Locked) -> Recipe:
        places = (local_place(path, folder, root) for path in found.local)
        return Recipe(installer, folder, found.text, tuple(place for place in places if place != folder))

    project = folder / "pyproject.toml"
    lock = _nearest(folder, root, "uv.lock") if exists(project) else None
    if lock:
        text = read(lock)
        return Recipe(Installer.UV, folder, text + read(project), local_packages(text, lock.parent, folder, root))
    if exists(folder / "requirements.txt"):
        found = read_requirements(folder / "requirements.txt", root, read)
        return Recipe(Installer.REQUIREMENTS, folder, found.text, tuple(found.local))
    if exists(folder / "poetry.lock") and exists(project):
        return locked(Installer.POETRY, poetry_locked(read(folder / "poetry.lock"), read(project), groups=True))
    if exists(folder / "Pipfile.lock"):
        return locked(Installer.PIPENV, pipenv_locked(read(folder / "Pipfile.lock")))
    _refuse(folder, root, _PYTHON_NOT_YET)
    if exists(project) and is_project(project, read):
        found = read_project(folder, root, read)
        # As it stands uv reads more from it than dependencies: which registries they are from.
        return Recipe(Installer.PYPROJECT, folder, found.text if found.local else read(project), tuple(found.local))
    return None


def node_recipe(folder: Path, root: Path) -> Recipe | None:
    """Return how the packages of a folder's `package-lock.json` are installed; None where it has none."""
    lock = folder / "package-lock.json"
    if not exists(lock):
        _refuse(folder, root, _NODE_NOT_YET)
        return None
    if _package(folder, root).get("workspaces"):
        raise UnsupportedDependencies(
            "The app's packages are in an npm workspace, which cannot be installed yet.",
            "Give the app's own folder a package.json and a package-lock.json that name all that it needs.",
            location=Location(str((folder / "package.json").relative_to(root))),
        )
    files = (lock, folder / "package.json", folder / ".npmrc")
    return Recipe(Installer.NPM, folder, "\0".join(read_text(file, root) for file in files if exists(file)))


def _refuse_without_lock(app_dir: Path, root: Path) -> None:
    """Refuse an app of Node that nothing can be installed for: its program would look for a registry and find none."""
    for folder in (app_dir, *app_dir.parents):
        if exists(folder / "node_modules"):
            return
        package = _package(folder, root)
        if package.get("dependencies") or package.get("devDependencies"):
            raise UnsupportedDependencies(
                "package.json names dependencies, and there is no package-lock.json that says which of their versions.",
                "Run `npm install`, and commit the package-lock.json that it writes.",
                location=Location(str((folder / "package.json").relative_to(root))),
            )
        if folder == root:
            return


def _package(folder: Path, root: Path) -> dict[str, Any]:
    """Return what `package.json` says; nothing where there is none, or none that npm could read either."""
    file = folder / "package.json"
    try:
        found = json.loads(read_text(file, root)) if exists(file) else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _refuse(folder: Path, root: Path, not_yet: dict[str, str]) -> None:
    for name, tool in not_yet.items():
        if (folder / name).exists():
            raise UnsupportedDependencies(
                f"Dependencies locked by {tool} ({name}) cannot be installed yet.",
                SUPPORTED,
                location=Location(str((folder / name).relative_to(root))),
            )


def _nearest(folder: Path, root: Path, name: str) -> Path | None:
    for place in (folder, *folder.parents):
        if exists(place / name):
            return place / name
        if place == root:
            return None
    return None
