"""What a function's project needs, by whichever tool it was written down."""

import functools
import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from stagedoor.bundling.errors import BundlingFailed
from stagedoor.bundling.locks import is_left_out, pipenv_locked, poetry_locked
from stagedoor.bundling.requirement_files import (
    dependencies_of,
    is_project,
    local_path,
    local_place,
    read_project,
    read_requirements,
)
from stagedoor.bundling.tools import find_uv

PROGRAM = ("aws-cdk-lib", "constructs", "jsii", "stagedoor")
"""What the CDK program is made of, and no function is."""

LAMBDAS = ("boto3", "botocore", "s3transfer")
"""What is in Lambda's Python runtimes
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html#python-sdk-included)."""


_REGISTRY = re.compile(r'^source = \{ registry = "(https://[^"@]+)" \}$', re.MULTILINE)
_USUAL = "https://pypi.org/simple"


@dataclass(frozen=True, slots=True)
class Needed:
    """Packages of registries as the text of a requirements file, and local ones: folders of projects, and wheels.

    `locked`: the text names all that is needed in one version. `left_out` do not come in, whoever needs them. `indexes`
    are registries besides the usual one that the lock has packages from.
    """

    text: str
    locked: bool
    local: tuple[Path, ...]
    left_out: tuple[str, ...]
    indexes: tuple[str, ...] = ()


@functools.cache
def needed_by(project: Path, root: Path, *, boto3: bool) -> Needed:
    """Return what a function of the project `project` needs; asked once for all functions of a project.

    Raises `UnsupportedDependencies` and `BundlingFailed`.
    """
    left_out = (*PROGRAM, *(() if boto3 else LAMBDAS))
    told = project / "pyproject.toml"
    uv_lock = _above(project, root, "uv.lock") if told.is_file() and is_project(told, _text) else None
    if uv_lock:
        return _from_uv(project, uv_lock.parent, root, left_out)
    if (project / "requirements.txt").is_file():
        found = read_requirements(project / "requirements.txt", root, _text)
        return Needed(_kept(found.lines, left_out), False, tuple(found.local), left_out)
    if (project / "poetry.lock").is_file():
        locked = poetry_locked(_text(project / "poetry.lock"), _text(project / "pyproject.toml"), left_out)
        return Needed(locked.text, True, _places(locked.local, project, root), left_out)
    if (project / "Pipfile.lock").is_file():
        locked = pipenv_locked(_text(project / "Pipfile.lock"), left_out)
        return Needed(locked.text, True, _places(locked.local, project, root), left_out)
    if (project / "pyproject.toml").is_file():
        found = read_project(project, root, _text)
        return Needed(_kept(found.lines, left_out), False, tuple(found.local), left_out)
    return Needed("", True, (), left_out)


def _from_uv(project: Path, lock: Path, root: Path, left_out: tuple[str, ...]) -> Needed:
    """Return what `uv export` says, which asks no registry. Local packages are told from the folder of the lock."""
    # Most apps have what their program needs and nothing else: then uv need not be asked.
    if all(is_left_out(each, left_out) for each in dependencies_of(project / "pyproject.toml", _text)):
        return Needed("", True, (), left_out)
    uv = find_uv()
    if uv is None:
        raise BundlingFailed(
            f"What functions need is locked in {lock.name or lock}/uv.lock, and uv is not installed here.",
            "Install uv where the app's program runs: pip install uv.",
        )
    words = [str(uv), "export", "--quiet", "--frozen", "--offline", "--no-header", "--no-annotate"]
    words += ["--no-default-groups", "--no-emit-project", "--format", "requirements.txt", "--project", str(project)]
    words += [word for name in left_out for word in ("--prune", name)]
    told = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    exported = subprocess.run(words, capture_output=True, text=True, check=False, cwd=project, env=told)
    if exported.returncode:
        raise BundlingFailed(
            "uv could not say from uv.lock what functions need.",
            "See what it says below; `uv lock` writes the lock anew.",
            detail=exported.stderr,
        )
    lines: list[str] = []
    local: list[Path] = []
    for line in exported.stdout.replace("\\\n", " ").splitlines():
        if path := local_path(line.split(" ;")[0].strip()):
            local.append(local_place(path, lock, root))
        elif line.strip():
            lines.append(" ".join(line.split()))
    registries = set(_REGISTRY.findall(_text(lock / "uv.lock"))) - {_USUAL}
    return Needed("".join(f"{line}\n" for line in lines), True, tuple(local), left_out, tuple(sorted(registries)))


def _places(local: Iterable[str], project: Path, root: Path) -> tuple[Path, ...]:
    places = (local_place(path, project, root) for path in local)
    return tuple(place for place in places if place != project)


def _kept(lines: Iterable[str], left_out: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines if not is_left_out(line, left_out))


def _above(folder: Path, root: Path, name: str) -> Path | None:
    for place in (folder, *folder.parents):
        if (place / name).is_file():
            return place / name
        if place == root:
            return None
    return None


def _text(file: Path) -> str:
    """Return a file's text: this runs in the app's own program, which may read what it may read."""
    return file.read_text(encoding="utf-8")
