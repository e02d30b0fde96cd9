"""Where a handler's source is, which language it is written in, and what Lambda calls it.

`"functions/notes.list"` is the function `list` of `functions/notes.py` (or `.ts`, `.js`, …), from the folder of the
app.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

PROJECT_FILES = ("uv.lock", "pyproject.toml", "requirements.txt", "poetry.lock", "Pipfile.lock", "Pipfile")
"""Whose folder is a project of Python: the code in it, and what it depends on."""


class Language(StrEnum):
    """What a handler is written in."""

    PYTHON = "python"
    NODE = "node"


_SUFFIXES = {
    ".py": Language.PYTHON,
    ".ts": Language.NODE,
    ".mts": Language.NODE,
    ".tsx": Language.NODE,
    ".js": Language.NODE,
    ".mjs": Language.NODE,
    ".cjs": Language.NODE,
    ".jsx": Language.NODE,
}


class HandlerNotFound(Exception):
    """A handler names no function of a file of the app; the message says what it looked for."""


@dataclass(frozen=True, slots=True)
class Source:
    """One handler. `root` is the folder whose contents go into the function's bundle, `file` the handler's own, and
    `handler` what Lambda is told (`notes.list`), from `root`. `project` has the files that say what it depends on; None
    where there are none. `app_dir` is the folder of the app.
    """

    language: Language
    root: Path
    file: Path
    handler: str
    project: Path | None
    app_dir: Path


def find_source(handler: str, app_dir: Path) -> Source:
    """Return where a handler is. Raises `HandlerNotFound`.

    A Python handler's bundle is its project, the nearest folder above it, below the app's own, with a `pyproject.toml`,
    a `requirements.txt` or the like (its `src`, for a handler in there); without one, the first folder of its path; for
    a file beside `cdk.json`, that file alone. What it depends on is said by that project, else by the app's own.
    """
    place, _, function = handler.rpartition(".")
    if not place or not function.isidentifier():
        raise HandlerNotFound(f"{handler!r} names no function; write it as 'folder/module.function'.")
    app_dir = app_dir.resolve()
    found = [app_dir / f"{place}{suffix}" for suffix in _SUFFIXES if (app_dir / f"{place}{suffix}").is_file()]
    if not found:
        raise HandlerNotFound(f"There is no {place}.py in {app_dir}, nor .ts, .js, .mjs, .cjs.")
    if len(found) > 1:
        raise HandlerNotFound(f"{handler!r} may be {' or '.join(file.name for file in found)}; rename one of them.")
    file = found[0]
    if not file.resolve().is_relative_to(app_dir):
        raise HandlerNotFound(f"{handler!r} leads out of the app's folder.")
    language = _SUFFIXES[file.suffix]
    above = [folder for folder in file.parents if folder.is_relative_to(app_dir)]
    projects = [folder for folder in above if any((folder / name).is_file() for name in PROJECT_FILES)]
    project = projects[0] if projects else None
    inner = project if project is not None and project != app_dir else None
    root = _import_root(inner, file) if inner else (above[-2] if len(above) > 1 else app_dir)
    module = file.relative_to(root).with_suffix("").as_posix()
    return Source(language, root, file, f"{module}.{function}", project, app_dir)


def _import_root(project: Path, file: Path) -> Path:
    """Return the folder that the modules of a project are imported from."""
    return project / "src" if file.is_relative_to(project / "src") else project
