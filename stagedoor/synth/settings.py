"""What an app says about its own synth: `cdk.json` and `cdk.context.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagedoor.errors import Location, UserError
from stagedoor.synth.tree import exists, read_text


class InvalidCdkJson(UserError):
    """`cdk.json` or `cdk.context.json` cannot be read, or says something of the wrong kind."""

    id = "invalid-cdk-json"


@dataclass(frozen=True, slots=True)
class CdkSettings:
    """The part of `cdk.json` that a synth needs. `app` is None where it does not say how the app is run."""

    app: str | None
    build: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)


def read_settings(app_dir: Path, root: Path) -> CdkSettings:
    """Return what the files of `app_dir` say; raise `InvalidCdkJson` with file and line. Missing files say nothing.

    Where both files name a context key, `cdk.json` wins, as with the CDK CLI.
    """
    main = _read_object(app_dir / "cdk.json", root)
    remembered = _read_object(app_dir / "cdk.context.json", root)
    context = main.get("context", {})
    if not isinstance(context, dict):
        raise _wrong(app_dir / "cdk.json", root, "context", "an object")
    return CdkSettings(
        _command(main, "app", app_dir, root), _command(main, "build", app_dir, root), {**remembered, **context}
    )


def context_of(settings: CdkSettings, added: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context that the app sees: its own, what the CDK CLI adds by default, and `added`, which wins.

    Analytics are off: they would put a resource that says which constructs are used into each template.
    """
    return {
        **settings.context,
        "aws:cdk:enable-path-metadata": True,
        "aws:cdk:enable-asset-metadata": True,
        "aws:cdk:version-reporting": False,
        "aws:cdk:disable-version-reporting": True,
        "aws:cdk:bundling-stacks": ["**"],
        "@aws-cdk/core:failSynthOnValidationErrors": False,
        **added,
    }


def _command(settings: Mapping[str, Any], name: str, app_dir: Path, root: Path) -> str | None:
    match settings.get(name):
        case None:
            return None
        case str(command):
            return command
        case list(words) if all(isinstance(word, str) for word in words):
            return " ".join(words)
    raise _wrong(app_dir / "cdk.json", root, name, "a command line")


def _read_object(file: Path, root: Path) -> dict[str, Any]:
    if not exists(file):
        return {}
    try:
        found = json.loads(read_text(file, root))
    except json.JSONDecodeError as problem:
        raise InvalidCdkJson(
            f"{file.name} is not valid JSON: {problem.msg}.",
            "Correct it; CDK reads it as plain JSON, without comments.",
            location=Location(str(file.relative_to(root)), problem.lineno, problem.colno),
        ) from None
    if not isinstance(found, dict):
        raise InvalidCdkJson(
            f"{file.name} holds no object.", "Begin it with {.", location=Location(str(file.relative_to(root)))
        )
    return found


def _wrong(file: Path, root: Path, key: str, kind: str) -> InvalidCdkJson:
    lines = read_text(file, root).splitlines()
    line = next((number for number, text in enumerate(lines, 1) if f'"{key}"' in text), 1)
    return InvalidCdkJson(
        f'"{key}" of {file.name} is not {kind}.',
        f"Make it {kind}.",
        location=Location(str(file.relative_to(root)), line),
    )
