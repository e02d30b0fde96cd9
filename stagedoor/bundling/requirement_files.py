"""Requirements files with what they include in its place, and the local packages that they name."""

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagedoor.bundling.errors import UnsupportedDependencies
from stagedoor.errors import Location

SUPPORTED = (
    "Commit a uv.lock, a poetry.lock, a Pipfile.lock, a requirements.txt or a package-lock.json: "
    "these are what can be installed now."
)

_INCLUDE = re.compile(r"(?:-r|--requirement)[\s=]*(\S+)")
_CONSTRAINTS = re.compile(r"(?:-c|--constraint)\b")
_EDITABLE = re.compile(r"(?:-e|--editable)[\s=]*")
_LOCAL = re.compile(
    r"(?:[A-Za-z0-9._-]+(?:\[[^\]]*\])?\s*@\s*)?(?:file:(?://)?)?((?:\.{0,2}/|\.{1,2}$|[^\s:@;=<>]+/)[^\s;]*)"
)
"""A path: with a slash at its beginning or after its first name, alone or behind `name @ file:`."""

Read = Callable[[Path], str]
"""Gives the text of a file of the repository; raises a `UserError` for one that is none."""


@dataclass(slots=True)
class Requirements:
    """Packages of registries, a line each, and the local ones: folders of projects, and wheels."""

    lines: list[str] = field(default_factory=list)
    local: list[Path] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The lines as a requirements file."""
        return "".join(f"{line}\n" for line in self.lines)


def read_requirements(file: Path, root: Path, read: Read) -> Requirements:
    """Return what a requirements file names, `-r` followed, comments and the file's own folder (`-e .`) left out.

    A local package's own dependencies are added, as far as its `pyproject.toml` says them. Raises
    `UnsupportedDependencies` for constraints, and for folders and files outside of the repository `root`.
    """
    found = Requirements()
    _read(file, root, read, found, ())
    return found


def read_project(folder: Path, root: Path, read: Read) -> Requirements:
    """Return the dependencies of a `pyproject.toml` without a lock, and those of the local packages that it names."""
    found = Requirements()
    _add_project(folder, root, read, found)
    return found


def local_place(text: str, base: Path, root: Path) -> Path:
    """Return the folder or wheel that a path leads to. Raises `UnsupportedDependencies` outside of the repository."""
    place = (base / text).resolve()
    if not place.is_relative_to(root.resolve()):
        raise UnsupportedDependencies(
            f"The local package {text} lies outside of the repository, which is all that an app's program can see.",
            "Move it into the repository, or put its wheel into a folder of it and depend on that.",
        )
    if place.is_dir() or (place.suffix == ".whl" and place.is_file()):
        return place
    raise UnsupportedDependencies(
        f"The local package {text} is neither a folder of the repository nor a wheel in it.",
        "Correct its path, and commit what it names.",
    )


def is_project(file: Path, read: Read) -> bool:
    """Say whether a `pyproject.toml` names a project; many hold the settings of tools only."""
    return "project" in _toml(file, file.parent, read)


def dependencies_of(file: Path, read: Read) -> list[str]:
    """Return the dependencies of a `pyproject.toml` as they stand there, those of its extras not among them."""
    project = _toml(file, file.parent, read).get("project", {})
    return [*project.get("dependencies", [])]


def import_root(project: Path) -> Path:
    """Return the folder of a local project that its packages are imported from: `src`, else its own."""
    return project / "src" if (project / "src").is_dir() else project


def _read(file: Path, root: Path, read: Read, found: Requirements, above: Sequence[Path]) -> None:
    for number, line in enumerate(read(file).replace("\\\n", " ").splitlines(), 1):
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if include := _INCLUDE.match(text):
            inner = (file.parent / include[1]).resolve()
            if inner in (*above, file.resolve()) or not inner.is_file() or not inner.is_relative_to(root):
                raise _refused(file, root, number, f"includes {include[1]}, which is no other file of the repository")
            _read(inner, root, read, found, (*above, file.resolve()))
        elif _CONSTRAINTS.match(text):
            raise _refused(file, root, number, "names constraints, which are not supported yet")
        elif local := local_path(text):
            try:
                place = local_place(local, file.parent, root)
            except UnsupportedDependencies as problem:
                problem.location = _location(file, root, number)
                raise
            _add_local(place, root, read, found, own=file.parent)
        elif _EDITABLE.match(text):
            raise _refused(file, root, number, f"has {text} as an editable package, which only a local folder can be")
        elif text:
            found.lines.append(text)


def local_path(requirement: str) -> str | None:
    """Return the path that a line of requirements names, None for a package of a registry or an address."""
    text = re.sub(r"\[[^\]]*\]$", "", _EDITABLE.sub("", requirement))
    if text == "." or (text.startswith("./") and not text.strip("./")):
        return "."
    match = _LOCAL.match(text)
    return match[1] if match and "://" not in text.replace("file://", "") else None


def _add_local(place: Path, root: Path, read: Read, found: Requirements, own: Path) -> None:
    if place == own.resolve() or place in found.local:
        return
    found.local.append(place)
    if place.is_dir() and (place / "pyproject.toml").is_file():
        _add_project(place, root, read, found)


def _add_project(folder: Path, root: Path, read: Read, found: Requirements) -> None:
    file = folder / "pyproject.toml"
    told = _toml(file, root, read)
    sources = told.get("tool", {}).get("uv", {}).get("sources", {})
    for text in told.get("project", {}).get("dependencies", []):
        name = re.match(r"[A-Za-z0-9._-]*", text)
        source = sources.get(name[0]) if name else None
        path = source.get("path") if isinstance(source, dict) else local_path(text)
        if path:
            _add_local(local_place(path, folder, root), root, read, found, own=folder)
        else:
            found.lines.append(text)


def _toml(file: Path, root: Path, read: Read) -> dict[str, Any]:
    try:
        return tomllib.loads(read(file))
    except tomllib.TOMLDecodeError as problem:
        place = Location(str(file.relative_to(root)))
        what = f"{file.name} is not valid TOML: {problem}."
        raise UnsupportedDependencies(what, "Correct it.", location=place) from None


def _refused(file: Path, root: Path, line: int, what: str) -> UnsupportedDependencies:
    return UnsupportedDependencies(f"{file.name} {what}.", SUPPORTED, location=_location(file, root, line))


def _location(file: Path, root: Path, line: int) -> Location:
    return Location(str(file.resolve().relative_to(root)), line)
