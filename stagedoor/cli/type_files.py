"""The files in which an app's folder tells type checkers what its code can be bound to."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from stagedoor.assembly.model import Assembly
from stagedoor.assembly.resources import bindable_resources
from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.resource_types import PACKAGE, PYTHON, TYPESCRIPT, python_stub, typescript_declarations
from stagedoor.events import Emit, Event, EventKind


def refresh_types(app: AppFolder, assembly: Assembly, emit: Emit) -> None:
    """Write the types of an app whose program has just been run, where it has constructs of ours or had types before.

    What cannot be written stops nobody: it is a warning.
    """
    if not assembly.bindable and not (app.path / PYTHON).is_file():
        return
    for file, text in type_files(app, assembly, app.path).items():
        if text_of(file) != text:
            try:
                file.write_text(text, encoding="utf-8")
            except OSError as problem:
                emit(Event(EventKind.WARNING, file.name, message=f"The types could not be written: {problem}."))


def type_files(app: AppFolder, assembly: Assembly, folder: Path, *, typescript: bool = False) -> Mapping[Path, str]:
    """Return the files that tell an app's types, and what is to be in them."""
    wanted: dict[str, Callable[..., str]] = {PYTHON: python_stub}
    if typescript or (folder / TYPESCRIPT).is_file() or _has_our_package(app):
        wanted[TYPESCRIPT] = typescript_declarations
    resources = bindable_resources(assembly)
    return {folder / name: make(resources) for name, make in wanted.items()}


def _has_our_package(app: AppFolder) -> bool:
    """Whether the app's `package.json`, or that of its repository, asks for our npm package."""
    for folder in (app.path, app.repository.root):
        try:
            package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
            if any(PACKAGE in package.get(key, {}) for key in ("dependencies", "devDependencies")):
                return True
        except (OSError, ValueError, AttributeError, TypeError):
            continue
    return False


def text_of(file: Path) -> str | None:
    """Return what is in a file; None where there is none."""
    return file.read_text(encoding="utf-8") if file.is_file() else None
