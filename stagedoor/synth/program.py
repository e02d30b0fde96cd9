"""What of an app is run, and what it is told: as the CDK CLI would, with a stage's name and its target.

Source of the contract between the CLI and an app: `packages/@aws-cdk/toolkit-lib/lib/api/cloud-assembly` in
https://github.com/aws/aws-cdk-cli.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagedoor import __version__
from stagedoor.bundling.places import APP_FOLDER
from stagedoor.bundling.tools import base_python, find_uv
from stagedoor.errors import Location, UserError
from stagedoor.synth.above import settings_above
from stagedoor.synth.confinement import environment as environment_from
from stagedoor.synth.env_files import read_env_files
from stagedoor.synth.settings import context_of, read_settings
from stagedoor.synth.tree import UnsafeFile
from stagedoor.target import Trust

CLI_VERSION = "2.1148.1"
SCHEMA_VERSION = "55.0.0"
"""The CDK CLI that we stand in for, and the manifest schema that it reads: the pair of aws-cdk-lib 2.275.0."""

CONTEXT_LIMIT = 100_000
"""Bytes of context that fit in the environment: Linux allows 131,072 for one variable; the rest goes into a file."""

ADVICE_ONLY = "@aws-cdk/core:validateAgainstDefaultRules"
"""CDK's flag: false makes warnings of the errors that validation finds."""

_KEY_FORMAT = "1"
"""Raised when equal keys no longer mean equal assemblies."""


class NoCommand(UserError):
    """Nothing says how the app's program is run."""

    id = "synth-has-no-command"


@dataclass(frozen=True, slots=True)
class SynthRequest:
    """One synth. `app_dir` holds `cdk.json`; `root` is its repository's (the app's own folder without one).

    `output` is the assembly's directory, made anew; `command` replaces the `app` of `cdk.json`; `context` is added to
    the app's own and wins. `cache_dir` may be shared by all apps: what must be apart in it is kept apart by `trust`.
    `remember`: the assembly of an equal tree may be used again; not for an app whose program gives another each time.
    `parameters` is the app's folder in the parameter store (`naming.parameter_folder`). `lasting`: the stage keeps its
    data when it is removed. `environment` may change what the app's `.env` files say; nothing else of it is told.
    """

    app_dir: Path
    output: Path
    stage: str
    account: str
    region: str
    cache_dir: Path
    trust: Trust
    command: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    root: Path | None = None
    remember: bool = True
    parameters: str = ""
    lasting: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Program:
    """An app's command lines, in their order, and what they are told by variables and by the file of `large` context.

    `root` and `app_dir` are real paths, the second below the first. `advice_only`: what validation finds stops nothing.
    `own` are the variables of the app's `.env` files; all others come before them.
    """

    app_dir: Path
    root: Path
    lines: tuple[str, ...]
    variables: Mapping[str, str]
    large: Mapping[str, Any]
    advice_only: bool = False
    own: Mapping[str, str] = field(default_factory=dict, repr=False)

    def key(self, tree: str) -> str:
        """Return what an assembly is known by: SHA-256 of all that decides it. `tree` is the digest of the repository.

        Where the repository lies, and where the assembly is written, is not in it.
        """
        scratch = Path("/")
        told = {
            "format": _KEY_FORMAT,
            "stagedoor": __version__,
            "tools": [sys.version, *map(_identity, (base_python(), find_uv(), shutil.which("node")))],
            "machine": environment_from(os.environ, scratch, registry=False),
            "above": [hashlib.sha256(file.read_bytes()).hexdigest() for file in settings_above(self.root)],
            "app": str(self.app_dir.relative_to(self.root)),
            "lines": self.lines,
            "variables": dict(self.variables),
            "own": dict(self.own),
            "context": dict(self.large),
            "tree": tree,
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def read_program(request: SynthRequest) -> Program:
    """Return what is to be run. Raises `NoCommand`, `UnsafeFile`, `InvalidCdkJson`."""
    root = (request.root or request.app_dir).resolve()
    app_dir = request.app_dir.resolve()
    if not app_dir.is_relative_to(root) or not app_dir.is_dir():
        raise UnsafeFile("The app's folder is not a folder of the repository.", "Name the folder that holds cdk.json.")
    settings = read_settings(app_dir, root)
    app = request.command or settings.app
    if not app:
        raise NoCommand(
            "cdk.json does not say how the app is run.",
            'Give it an "app", such as "python app.py".',
            location=Location(str((app_dir / "cdk.json").relative_to(root))),
        )
    context = context_of(settings, {**request.context, "stagedoor:stage": request.stage})
    small, large = split_context(context, CONTEXT_LIMIT)
    lines = (settings.build, app) if settings.build else (app,)
    return Program(
        app_dir,
        root,
        lines,
        {**_variables(request, small), APP_FOLDER: app_dir.relative_to(root).as_posix()},
        large,
        context.get(ADVICE_ONLY) in (False, "false"),
        _told(read_env_files(app_dir, root, request.stage, request.environment)),
    )


def _told(own: Mapping[str, str]) -> dict[str, str]:
    """Return what of an app's `.env` files its program is told: not where programs and its own folders are."""
    return {name: value for name, value in own.items() if name not in ("PATH", "HOME", "TMPDIR")}


def interpreted(line: str, app_dir: Path) -> str:
    """Return a command line with `node` before a JavaScript file that is no program of its own, as the CDK CLI does."""
    first, _, rest = line.strip().partition(" ")
    file = app_dir / first
    if file.suffix == ".js" and file.is_file() and not file.stat().st_mode & 0o111:
        return f"node {first} {rest}".rstrip()
    return line


def split_context(context: Mapping[str, Any], limit: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what of a context fits in `limit` bytes, in its order, and the rest."""
    small: dict[str, Any] = {}
    large: dict[str, Any] = {}
    used = 2
    for key, value in context.items():
        size = len(json.dumps({key: value}).encode())
        (small if used + size <= limit else large)[key] = value
        used += size if used + size <= limit else 0
    return small, large


def _variables(request: SynthRequest, context: Mapping[str, Any]) -> dict[str, str]:
    """Return what the CDK CLI sets for an app wherever its assembly is written, and the stage."""
    return {
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_DEFAULT_ACCOUNT": request.account,
        "CDK_DEFAULT_REGION": request.region,
        "CDK_CLI_ASM_VERSION": SCHEMA_VERSION,
        "CDK_CLI_VERSION": CLI_VERSION,
        # The library's own validation takes two thirds of a synth; `validation.py` does it beside.
        "CDK_VALIDATION": "false",
        "STAGEDOOR_STAGE": request.stage,
        "STAGEDOOR_PARAMETERS": request.parameters,
        # Whether what is disposable goes with the stage: the library's constructs ask.
        "STAGEDOOR_LASTING": "1" if request.lasting else "",
        # There is no network for it: what functions depend on is installed when the program has ended.
        "STAGEDOOR_BUNDLING": "later",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",
        # There is no network: an `npx` whose program is not installed says so at once, not after a minute of attempts.
        "npm_config_offline": "true",
        # Which Node runs is the operator's choice, not the author's.
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20,22",
    }


def identity_of_node() -> str:
    """Return what tells the Node that programs are run by from another, without starting it; empty where none is."""
    return _identity(shutil.which("node"))


def _identity(program: Path | str | None) -> str:
    """Return what tells one version of an installed program from another, without starting it."""
    if program is None:
        return ""
    real = Path(program).resolve()
    status = real.stat()
    return f"{real} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
