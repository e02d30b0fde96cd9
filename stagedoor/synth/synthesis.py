"""Run an app's program as the CDK CLI would, with a stage's name and its target, and get the assembly that it writes.

Source of the contract between the CLI and an app: `packages/@aws-cdk/toolkit-lib/lib/api/cloud-assembly` in
https://github.com/aws/aws-cdk-cli. No `cdk` is started.
"""

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagedoor.errors import Location, UserError
from stagedoor.events import Emit
from stagedoor.synth.dependencies import Environment, install, settings_above, to_log
from stagedoor.synth.executor import Command, Executor
from stagedoor.synth.places import location_in
from stagedoor.synth.settings import CdkSettings, context_of, read_settings
from stagedoor.synth.tree import UnsafeFile
from stagedoor.target import Trust

CLI_VERSION = "2.1148.1"
SCHEMA_VERSION = "55.0.0"
"""The CDK CLI that we stand in for, and the manifest schema that it reads: the pair of aws-cdk-lib 2.275.0."""

CONTEXT_LIMIT = 100_000
"""Bytes of context that fit in the environment: Linux allows 131,072 for one variable; the rest goes into a file."""


class SynthFailed(UserError):
    """The app's program ended with an error."""

    id = "synth-failed"


class NoAssembly(UserError):
    """The app's program ended well, and wrote no assembly."""

    id = "synth-wrote-no-assembly"


class NoCommand(UserError):
    """Nothing says how the app's program is run."""

    id = "synth-has-no-command"


@dataclass(frozen=True, slots=True)
class SynthRequest:
    """One synth. `app_dir` holds `cdk.json`; `root` is its repository's (the app's own folder without one).

    `output` is the assembly's directory, made anew; `command` replaces the `app` of `cdk.json`; `context` is added to
    the app's own and wins. `cache_dir` may be shared by all apps: what must be apart in it is kept apart by `trust`.
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


def synthesize(request: SynthRequest, executor: Executor, emit: Emit) -> Path:
    """Install the app's dependencies, run its program, and return the directory of its assembly.

    Raises `SynthFailed` with the end of the app's own output and, where it can be read, the place in its code;
    other `UserError`s for what stops it before, and for limits that it passed.
    """
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
    environment = install(app_dir, root, request.cache_dir.resolve() / request.trust.value, executor, emit)
    output = request.output.resolve()
    output.mkdir(parents=True)
    with (
        _node_modules_shown(app_dir, root, environment),
        tempfile.TemporaryDirectory(prefix="stagedoor-context-") as passing,
    ):
        variables = _variables(request, settings, output, Path(passing))
        program = _Program(app_dir, root, output, environment, {**environment.variables, **variables}, Path(passing))
        for line in (settings.build, app):
            if line:
                program.run(line, executor, emit)
    if not (output / "manifest.json").is_file():
        raise NoAssembly(
            f"The app's program ({app}) ended without an error, and wrote no assembly.",
            "See that it calls synth(), and that it does not set an outdir of its own.",
        )
    return output


@dataclass(frozen=True, slots=True)
class _Program:
    """The app's command lines, and where and with what they are run."""

    app_dir: Path
    root: Path
    output: Path
    environment: Environment
    variables: Mapping[str, str]
    passing: Path

    def run(self, line: str, executor: Executor, emit: Emit) -> None:
        """Run one command line of the repository's own by the shell that the CDK CLI starts, too."""
        path = ":".join(map(str, self.environment.path))
        command = Command(
            name="synth",
            argv=("/bin/sh", "-c", f'PATH="{path}:$PATH"\n{interpreted(line, self.app_dir)}'),
            cwd=self.app_dir,
            env=self.variables,
            readable=(*self.environment.readable, *settings_above(self.root), self.passing),
            writable=(self.root, self.output),
        )
        printed: list[str] = []
        completed = executor.run(command, to_log(command.name, printed, emit))
        if completed.status != 0:
            last = next((text.strip() for text in reversed(printed) if text.strip()), "")
            raise SynthFailed(
                f"The app's program ({line}) ended with status {completed.status}"
                + (f": {last[:300]}" if last else "."),
                "What it printed last is below; the same command shows it in the app's folder.",
                detail="\n".join(printed),
                location=location_in(printed, self.app_dir, self.root),
            )


def interpreted(line: str, app_dir: Path) -> str:
    """Return a command line with `node` before a JavaScript file that is no program of its own, as the CDK CLI does."""
    first, _, rest = line.strip().partition(" ")
    file = app_dir / first
    if file.suffix == ".js" and file.is_file() and not file.stat().st_mode & 0o111:
        return f"node {first} {rest}".rstrip()
    return line


def _variables(request: SynthRequest, settings: CdkSettings, output: Path, passing: Path) -> dict[str, str]:
    """Return what the CDK CLI sets for an app, and the stage."""
    context = context_of(settings, {**request.context, "stagedoor:stage": request.stage})
    small, large = split_context(context, CONTEXT_LIMIT)
    variables = {
        "CDK_OUTDIR": str(output),
        "CDK_CONTEXT_JSON": json.dumps(small),
        "CDK_DEFAULT_ACCOUNT": request.account,
        "CDK_DEFAULT_REGION": request.region,
        "CDK_CLI_ASM_VERSION": SCHEMA_VERSION,
        "CDK_CLI_VERSION": CLI_VERSION,
        # The library's own validation takes two thirds of a synth, and CloudFormation validates again.
        "CDK_VALIDATION": "false",
        "STAGEDOOR_STAGE": request.stage,
        "PYTHONIOENCODING": "utf-8",
        "PYTHONUNBUFFERED": "1",
        # There is no network: an `npx` whose program is not installed says so at once, not after a minute of attempts.
        "npm_config_offline": "true",
        # Which Node runs is the operator's choice, not the author's.
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "18,20,22",
    }
    if large:
        overflow = passing / "context-overflow.json"
        overflow.write_text(json.dumps(large))
        passing.chmod(0o755)
        variables["CONTEXT_OVERFLOW_LOCATION_ENV"] = str(overflow)
    return variables


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


@contextmanager
def _node_modules_shown(app_dir: Path, root: Path, environment: Environment) -> Iterator[None]:
    """Show the app's tree what was installed for it; a `node_modules` that is there already is the app's own.

    The link goes with the last synth that is at work in the tree: whoever runs `npm ci` where it stands empties what it
    leads to, and that is everybody's.
    """
    folder = next((place for place in (app_dir, *app_dir.parents) if (place / "package-lock.json").is_file()), root)
    place = folder / "node_modules"
    if environment.node_modules is None or (place.exists() and not place.is_symlink()):
        yield
        return
    users = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(users, fcntl.LOCK_SH)
        passing = folder / f".node_modules-{secrets.token_hex(4)}"
        passing.symlink_to(environment.node_modules)
        passing.replace(place)
        yield
    finally:
        with suppress(BlockingIOError):  # another synth needs it, and takes it away
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if place.is_symlink():
                place.unlink()
        os.close(users)
