"""What must be installed for an app: found from the files of its folder, decided without running anything."""

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from stagedoor.errors import Location, UserError
from stagedoor.synth.tree import exists, read_text

_PYTHON_NOT_YET = {"poetry.lock": "Poetry", "Pipfile.lock": "Pipenv", "Pipfile": "Pipenv", "pdm.lock": "PDM"}
_NODE_NOT_YET = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "Yarn", "bun.lock": "Bun", "bun.lockb": "Bun"}
_SUPPORTED = "Commit a uv.lock, a requirements.txt or a package-lock.json: these are what can be installed now."

_INCLUDE = re.compile(r"(?:-r|--requirement)[\s=]*(\S+)")
_CONSTRAINTS = re.compile(r"(?:-c|--constraint)\b")
_OWN_FOLDER = re.compile(r"(?:(?:-e|--editable)[\s=]*)?\./?$")
_LOCAL = re.compile(r"(?:-e\b|--editable\b|\.\.?/|/|file:|\S+\s*@\s*file:)")


class UnsupportedDependencies(UserError):
    """The app's dependencies are written down in a way that cannot be installed yet."""

    id = "unsupported-dependencies"


class Installer(StrEnum):
    """How dependencies are written down, and so what installs them."""

    UV = "uv.lock"
    REQUIREMENTS = "requirements.txt"
    PYPROJECT = "pyproject.toml"
    NPM = "package-lock.json"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One installation: by what, from which folder, and the text that decides its result."""

    installer: Installer
    folder: Path
    text: str


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
    project = folder / "pyproject.toml"
    lock = _nearest(folder, root, "uv.lock") if exists(project) else None
    if lock:
        return Recipe(Installer.UV, folder, read_text(lock, root) + read_text(project, root))
    if exists(folder / "requirements.txt"):
        return Recipe(Installer.REQUIREMENTS, folder, flatten_requirements(folder / "requirements.txt", root))
    _refuse(folder, root, _PYTHON_NOT_YET)
    if exists(project) and _is_project(project, root):
        return Recipe(Installer.PYPROJECT, folder, read_text(project, root))
    return None


def _is_project(file: Path, root: Path) -> bool:
    """Say whether a `pyproject.toml` names a project; many hold the settings of tools only."""
    try:
        return "project" in tomllib.loads(read_text(file, root))
    except tomllib.TOMLDecodeError as problem:
        raise UnsupportedDependencies(
            f"{file.name} is not valid TOML: {problem}.", "Correct it.", location=Location(str(file.relative_to(root)))
        ) from None


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
                _SUPPORTED,
                location=Location(str((folder / name).relative_to(root))),
            )


def flatten_requirements(file: Path, root: Path, above: Sequence[Path] = ()) -> str:
    """Return a requirements file with those that it includes (`-r`) in their place, without comments.

    The app's own folder (`-e .`), which older templates of CDK name, is left out: the program runs in it anyway.
    Raises `UnsupportedDependencies` for other local folders, constraints, and files outside of the repository.
    """
    lines: list[str] = []
    for number, line in enumerate(read_text(file, root).replace("\\\n", " ").splitlines(), 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if include := _INCLUDE.match(text):
            inner = (file.parent / include[1]).resolve()
            if inner in above or not inner.is_file() or not inner.is_relative_to(root):
                raise _refused(file, root, number, f"includes {include[1]}, which is no other file of the repository")
            lines.append(flatten_requirements(inner, root, (*above, file.resolve())))
        elif _CONSTRAINTS.match(text):
            raise _refused(file, root, number, "names constraints, which are not supported yet")
        elif _LOCAL.match(text) and not _OWN_FOLDER.match(text):
            raise _refused(file, root, number, f"names a local folder ({text}), which is not supported yet")
        elif text and not _OWN_FOLDER.match(text):
            lines.append(text)
    return "\n".join(lines) + "\n"


def _refused(file: Path, root: Path, line: int, what: str) -> UnsupportedDependencies:
    place = Location(str(file.resolve().relative_to(root)), line)
    return UnsupportedDependencies(f"{file.name} {what}.", _SUPPORTED, location=place)


def _nearest(folder: Path, root: Path, name: str) -> Path | None:
    for place in (folder, *folder.parents):
        if exists(place / name):
            return place / name
        if place == root:
            return None
    return None
