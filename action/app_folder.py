"""Which app of a checkout is meant, and how its program is run: `stagedoor.toml` and `cdk.json`.

The rules are those of `stagedoor.cli.app_folder` and `stagedoor.synth.settings`; the service inspects what comes of it,
so nothing rests on the checks here but good errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from action.refusal import Place, Refused
from action.workflow import app_of

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}\Z")


@dataclass(frozen=True)
class AppFolder:
    """An app: its name, its folder, the repository's root, its command lines and the context of its own files."""

    name: str
    path: Path
    root: Path
    lines: tuple[str, ...]
    context: Mapping[str, Any] = field(default_factory=dict)


def find_app(root: Path, wanted: str, config: str, repository: str) -> AppFolder:
    """Return the app that `wanted` names (in the `config` file, or by its folder), else the only one.

    `repository` is GitHub's full name, after which an app at the root is called. Raises `Refused`.
    """
    root = root.resolve()
    name, folder, said = _chosen(root, wanted, config, repository)
    settings = _object(folder / "cdk.json", root)
    command = said.get("command")
    app = command if isinstance(command, str) else _command(settings, "app", folder, root)
    if not app:
        raise Refused(
            "synth-has-no-command",
            "cdk.json does not say how the app is run.",
            'Give it an "app", such as "python app.py"; or name the app\'s folder with the input `app`.',
            place=Place((folder / "cdk.json").relative_to(root).as_posix()),
        )
    build = _command(settings, "build", folder, root)
    context = settings.get("context", {})
    if not isinstance(context, dict):
        raise _wrong(folder / "cdk.json", root, "context", "an object")
    return AppFolder(
        name, folder, root, (build, app) if build else (app,), {**_object(folder / "cdk.context.json", root), **context}
    )


def name_of(root: Path, wanted: str, config: str, repository: str) -> str:
    """Return what that app is called, which may have no program (any more). Raises `Refused`."""
    return _chosen(root.resolve(), wanted, config, repository)[0]


def _chosen(root: Path, wanted: str, config: str, repository: str) -> tuple[str, Path, Mapping[str, Any]]:
    """Return the app's name, its folder, and what the configuration says of it."""
    declared = _declared(root, config)
    own = app_of(repository.rpartition("/")[2])
    if wanted in declared:
        name = wanted
    elif wanted:
        folder = _inside(root, wanted)
        name = next((each for each, app in declared.items() if _inside(root, _path(app)) == folder), "")
        if not name:
            return (own if folder == root else app_of(folder.name)), folder, {}
    elif len(declared) > 1:
        names = ", ".join(sorted(declared))
        raise Refused("several-apps", f"This repository has several apps: {names}.", "Name one with the input `app`.")
    elif not declared:
        return own, root, {}
    else:
        name = next(iter(declared))
    if not _NAME.match(name):
        raise Refused(
            "invalid-app-name",
            f"An app cannot be called {name!r}.",
            "Use at most 40 letters, digits and hyphens, beginning with a letter.",
        )
    return name, _inside(root, _path(declared[name])), declared[name]


def _declared(root: Path, config: str) -> dict[str, Mapping[str, Any]]:
    file = _inside(root, config)
    if not file.is_file():
        return {}
    try:
        import tomllib
    except ImportError:
        raise Refused(
            "old-python",
            f"{config} is read by Python 3.11 or newer, and this one is older.",
            "Let actions/setup-python come before this step.",
        ) from None
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        line = re.search(r"line (\d+)", str(problem))
        raise Refused(
            "invalid-config",
            f"{config} is not valid TOML: {problem}.",
            "Correct it.",
            place=Place(config, int(line[1]) if line else 1),
        ) from None
    apps = found.get("apps", {})
    return {name: app for name, app in apps.items() if isinstance(app, dict)} if isinstance(apps, dict) else {}


def _path(app: Mapping[str, Any]) -> str:
    path = app.get("path", ".")
    return path if isinstance(path, str) else "."


def _inside(root: Path, path: str) -> Path:
    found = (root / path).resolve()
    if found != root and root not in found.parents:
        raise Refused("unsafe-file", f"{path} leads out of the repository.", "Name a file or folder of the repository.")
    return found


def _object(file: Path, root: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    at = file.relative_to(root).as_posix()
    try:
        found = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    except json.JSONDecodeError as problem:
        raise Refused(
            "invalid-cdk-json",
            f"{file.name} is not valid JSON: {problem.msg}.",
            "Correct it; CDK reads it as plain JSON, without comments.",
            place=Place(at, problem.lineno, problem.colno),
        ) from None
    if not isinstance(found, dict):
        raise Refused("invalid-cdk-json", f"{file.name} holds no object.", "Begin it with {.", place=Place(at))
    return found


def _command(settings: Mapping[str, Any], key: str, folder: Path, root: Path) -> str:
    found = settings.get(key)
    if found is None:
        return ""
    if isinstance(found, str):
        return found
    if isinstance(found, list) and all(isinstance(word, str) for word in found):
        return " ".join(found)
    raise _wrong(folder / "cdk.json", root, key, "a command line")


def _wrong(file: Path, root: Path, key: str, kind: str) -> Refused:
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    line = next((number for number, text in enumerate(lines, 1) if f'"{key}"' in text), 1)
    return Refused(
        "invalid-cdk-json",
        f'"{key}" of {file.name} is not {kind}.',
        f"Make it {kind}.",
        place=Place(file.relative_to(root).as_posix(), line),
    )
