"""`stagedoor shell`: run a command as if it were code of a stage."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterable

import click
from botocore.exceptions import ClientError

from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.deployed_functions import deployed_functions, the_one
from stagedoor.cli.deployed_stage import Looking, look_at
from stagedoor.cli.options import EXIT_CODES, STAGE, Options, with_options
from stagedoor.cli.personal_stage import stage_named
from stagedoor.cli.watched_command import run_watched
from stagedoor.cli.work import at_work
from stagedoor.deploy.access import is_denied
from stagedoor.deploy.clients import Phase
from stagedoor.deploy.stacks import ActualStack
from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind
from stagedoor.naming import BINDING_OUTPUT
from stagedoor.runtime.variables import VARIABLE
from stagedoor.synth.env_files import read_env_files

_CREDENTIALS = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_BRIDGE = "AWS_LAMBDA_EXEC_WRAPPER"
"""The variable of a live function that only Lambda itself can do something with."""


class RoleNotYours(UserError):
    """The function's role does not let the caller assume it."""

    id = "role-not-yours"


class NoProgram(UserError):
    """The command that is to be run is not there."""

    id = "no-program"


@click.command(epilog=EXIT_CODES, context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@STAGE
@click.option("--function", metavar="NAME", help="With this function's environment and its role's credentials only.")
@click.option("--watch", is_flag=True, help="Start the command again when a file of the app changes.")
@with_options
def shell(command: tuple[str, ...], stage: str | None, function: str | None, watch: bool, options: Options) -> None:
    """Run COMMAND with what the code of a stage is bound to; without one, a shell.

    stagedoor.runtime finds the stage's tables, queues and secrets, with your own credentials or, with --function, those
    of a function's role. Variables of the app's .env files are set, too. The exit code is the command's.

    \b
    Example:
      stagedoor shell --stage dev -- pytest
      stagedoor shell --stage dev --function Create -- python -m scripts.fill
    """
    argv = list(command) or [os.environ.get("SHELL") or "/bin/sh"]
    with at_work(options) as work, work.interruption.anywhere():
        app = work.app()
        looking = look_at(work, app, stage_named(stage, app))
        environment = _environment(app, looking, function, work.emit)
        if shutil.which(argv[0], path=environment.get("PATH")) is None:
            raise NoProgram(f"There is no program {argv[0]!r}.", "See its spelling, and the PATH.")
    if watch:
        sys.exit(run_watched(argv, environment, app.path))
    sys.stdout.flush()
    sys.stderr.flush()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored stays so
    os.execvpe(argv[0], argv, environment)  # noqa: S606 - the caller's own command, word by word


def bound_variables(stacks: Iterable[ActualStack], emit: Emit) -> dict[str, str]:
    """Return the variables by which `stagedoor.runtime` finds all that the stacks tell of, from their outputs. Of two
    resources of one kind and name the first is meant, and that is said.
    """
    found: dict[str, str] = {}
    for stack in stacks:
        for name, value in sorted(stack.outputs.items()):
            if name.startswith(BINDING_OUTPUT):
                told = json.loads(value)
                kind, resource = told.pop("kind"), told.pop("name")
                text = json.dumps(told)
                if found.setdefault(f"{VARIABLE}{kind}_{resource}", text) != text:
                    said = (
                        "The stage has several of this name: here it is the first. --function gives a function's own."
                    )
                    emit(Event(EventKind.WARNING, f"{kind}.{resource}", message=said))
    return found


def _environment(app: AppFolder, looking: Looking, function: str | None, emit: Emit) -> dict[str, str]:
    """Return the environment of the command: this process's, the app's `.env` files, and the stage's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLE)}
    stage, region = looking.stage.name, looking.target.region
    files = read_env_files(app.path, app.repository.root, stage, own)
    if function is not None:
        bound = _of_function(looking, function)
        own = {name: value for name, value in own.items() if name not in _CREDENTIALS}
    else:
        bound = bound_variables(looking.stage.stacks, emit)
    return {
        **own,
        **files,
        **bound,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "STAGEDOOR_STAGE": stage,
    }


def _of_function(looking: Looking, pattern: str) -> dict[str, str]:
    """Return a function's own variables, and credentials of its role."""
    function = the_one(deployed_functions(looking), pattern)
    lambda_ = looking.clients.client("lambda", Phase.DEPLOY)
    said = lambda_.get_function_configuration(FunctionName=function.name)
    variables = dict(said.get("Environment", {}).get("Variables", {}))
    variables.pop(_BRIDGE, None)
    role = said["Role"]
    try:
        sts = looking.clients.client("sts", Phase.DEPLOY)
        given = sts.assume_role(RoleArn=role, RoleSessionName="stagedoor-shell")["Credentials"]
    except ClientError as error:
        if not is_denied(error):
            raise
        raise RoleNotYours(
            f"You may not assume the role of {function.path}: {role}.",
            "Functions of personal stages (dev-…) let you, if you may call sts:AssumeRole; of other stages leave "
            "--function out, or have the role's trust policy name you.",
        ) from None
    return {
        **variables,
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
