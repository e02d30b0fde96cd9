"""`stagedoor secrets`: what people set for a stage, and its code reads."""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

import click

from stagedoor.cli.cache import work_folder
from stagedoor.cli.deployed_stage import way_in
from stagedoor.cli.options import EXIT_CODES, STAGE, Options, with_options
from stagedoor.cli.personal_stage import stage_named
from stagedoor.cli.program import synthesized_without_account
from stagedoor.cli.screen import Ending, write
from stagedoor.cli.table import write_table
from stagedoor.cli.value_owner import repository_of_values
from stagedoor.cli.work import Work, at_work
from stagedoor.deploy.stacks import read_all_stacks
from stagedoor.deploy.stage_values import FALLBACK, SecretsNotSet, SetValue, StageValues, check_value, needed_names
from stagedoor.errors import UserError
from stagedoor.naming import check_stage_name, parameter_folder
from stagedoor.synth.env_files import parse_env_file


class NoSecret(UserError):
    """Nothing of that name is set."""

    id = "no-such-secret"


@dataclass(frozen=True, slots=True)
class Where:
    """For which stage something is set: its name, or `FALLBACK`; `told` is how a person says it."""

    stage: str
    values: StageValues
    data: Mapping[str, Any]

    @property
    def told(self) -> str:
        """Return it as it is said to a person."""
        return "all stages" if self.stage == FALLBACK else f"the stage {self.stage}"


@click.group(epilog=EXIT_CODES)
def secrets() -> None:
    """Set what the app's code reads and no template has: secrets, and parameters.

    Each is set for a stage, or with --fallback for all that have none of their own. Code has it within five minutes,
    without a deploy.

    \b
    Example:
      stagedoor secrets set StripeKey --stage prod < key.txt
      stagedoor secrets load .env.secrets --fallback
      stagedoor secrets list --check
    """


def _with_place(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say for which stage."""

    @STAGE
    @click.option("--fallback", is_flag=True, help="For all stages that have none of their own.")
    @click.option(
        "--repository",
        metavar="ID",
        help="The id by which the stage's service knows the repository. [default: as the stage's stacks say]",
    )
    @with_options
    @functools.wraps(command)
    def placed(**given: Any) -> None:
        command(**given)

    return placed


@secrets.command("set", epilog=EXIT_CODES)
@click.argument("name")
@click.option("--plain", is_flag=True, help="Keep it as plain text; enough for a Parameter.")
@_with_place
def set_one(
    name: str, plain: bool, stage: str | None, fallback: bool, repository: str | None, options: Options
) -> None:
    """Set a secret. Its value is read from stdin, or asked for; it is never an argument.

    \b
    Example:
      stagedoor secrets set StripeKey --stage dev
      pass show stripe | stagedoor secrets set StripeKey --fallback
    """
    with at_work(options) as work, _where(work, stage, repository, fallback=fallback) as where:
        with work.interruption.anywhere():
            value = _asked(name) if sys.stdin.isatty() else sys.stdin.read().removesuffix("\n")
        where.values.put(where.stage, name, value, secret=not plain)
        work.screen.end(Ending(f"{name} is set for {where.told}.", data={**where.data, "names": [name]}))


@secrets.command(epilog=EXIT_CODES)
@click.argument("name")
@_with_place
def get(name: str, stage: str | None, fallback: bool, repository: str | None, options: Options) -> None:
    """Print a secret's value on stdout: the stage's own, else that of all stages.

    \b
    Example:
      stagedoor secrets get StripeKey --stage dev
    """
    with at_work(options) as work, _where(work, stage, repository, fallback=fallback) as where:
        value = where.values.get(where.stage, name)
        if value is None:
            raise NoSecret(f"{name} is not set for {where.told}.", "`stagedoor secrets list` shows what is set.")
        if options.as_json:
            work.screen.end(Ending("", data={**where.data, "name": name, "value": value}))
        else:
            write(sys.stdout, value + "\n")


@secrets.command("list", epilog=EXIT_CODES)
@click.option("--check", is_flag=True, help="Run the app's program, and exit with 1 where it needs what is not set.")
@_with_place
def list_all(check: bool, stage: str | None, fallback: bool, repository: str | None, options: Options) -> None:
    """List what is set for a stage and for all stages; never the values.

    \b
    Example:
      stagedoor secrets list --stage prod --check
    """
    with at_work(options) as work, _where(work, stage, repository, fallback=fallback) as where:
        needed: Sequence[str] = []
        if check:
            with work.screen, work_folder() as folder:
                needed = needed_names(synthesized_without_account(work, work.app(), _synth_stage(where), folder))
        found = [one for one in where.values.listed() if one.stage in (where.stage, FALLBACK)]
        missing = [name for name in needed if name not in {one.name for one in found}]
        if not options.as_json:
            write_table(("name", "set for", "kind", "changed"), [*map(_row, found), *map(_missing_row, missing)])
        if missing:
            raise SecretsNotSet(
                f"The app needs {', '.join(missing)}, which nobody has set for {where.told}.",
                f"Set it: stagedoor secrets set {missing[0]} --stage {where.stage}",
            )
        data = {**where.data, "secrets": list(map(_as_json, found))}
        work.screen.end(Ending(f"{len(found)} set for {where.told} and for all.", data=data))


@secrets.command(epilog=EXIT_CODES)
@click.argument("file", type=click.File(encoding="utf-8"))
@_with_place
def load(file: TextIO, stage: str | None, fallback: bool, repository: str | None, options: Options) -> None:
    """Set all secrets of a file of lines NAME=value, as `.env` files are; - is stdin.

    \b
    Example:
      stagedoor secrets load secrets.env --stage dev
    """
    with at_work(options) as work, _where(work, stage, repository, fallback=fallback) as where:
        found = dict(parse_env_file(file.read(), file.name))
        for name, value in found.items():  # all of them before the first is set
            check_value(name, value)
        for name, value in found.items():
            where.values.put(where.stage, name, value)
        said = f"{', '.join(found) or 'Nothing'} {'are' if len(found) > 1 else 'is'} set for {where.told}."
        work.screen.end(Ending(said, data={**where.data, "names": list(found)}))


@secrets.command(epilog=EXIT_CODES)
@click.argument("names", nargs=-1, required=True)
@_with_place
def remove(names: tuple[str, ...], stage: str | None, fallback: bool, repository: str | None, options: Options) -> None:
    """Take secrets away from a stage; what is set for all stages then holds for it.

    \b
    Example:
      stagedoor secrets remove StripeKey --stage dev
    """
    with at_work(options) as work, _where(work, stage, repository, fallback=fallback) as where:
        gone = where.values.remove(where.stage, names)
        if left := [name for name in names if name not in gone]:
            raise NoSecret(
                f"{', '.join(left)} {'were' if len(left) > 1 else 'was'} not set for {where.told}.",
                f"Removed: {', '.join(gone)}." if gone else "Nothing was changed.",
            )
        work.screen.end(Ending(f"{', '.join(gone)} removed from {where.told}.", data={**where.data, "names": gone}))


@contextmanager
def _where(work: Work, stage: str | None, repository: str | None, *, fallback: bool) -> Iterator[Where]:
    """Find out for which stage a command is, and whose stage that is."""
    if fallback and stage is not None:
        raise click.UsageError("--fallback is for all stages, so there is no --stage.")
    with work.interruption.anywhere():
        app = work.app()
        name = FALLBACK if fallback else check_stage_name(stage_named(stage, app))
        _, clients = way_in(work, app)
        owner = repository or repository_of_values(read_all_stacks(clients), app, None if fallback else name)
        data = {"app": app.name, "stage": None if fallback else name, "repository": owner}
        yield Where(name, StageValues(clients, parameter_folder(app.name, owner)), data)


def _asked(name: str) -> str:
    value: str = click.prompt(f"Value of {name}", hide_input=True, err=True)
    return value


def _synth_stage(where: Where) -> str:
    return "dev" if where.stage == FALLBACK else where.stage


def _row(one: SetValue) -> list[str]:
    changed = f"{one.changed:%Y-%m-%d %H:%M} UTC" if one.changed else ""
    return [one.name, _said(one), "secret" if one.secret else "plain", changed]


def _missing_row(name: str) -> list[str]:
    return [name, "not set", "", ""]


def _said(one: SetValue) -> str:
    return "all stages" if one.stage == FALLBACK else one.stage


def _as_json(one: SetValue) -> dict[str, Any]:
    stage = None if one.stage == FALLBACK else one.stage
    changed = one.changed.isoformat() if one.changed else None
    return {"name": one.name, "stage": stage, "fallback": stage is None, "secret": one.secret, "changed": changed}
