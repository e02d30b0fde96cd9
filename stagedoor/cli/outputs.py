"""`stagedoor outputs`: what a deployed stage tells, for people, scripts and other programs."""

import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from stagedoor.cli.deployed_stage import look_at
from stagedoor.cli.options import EXIT_CODES, STAGE, Options, with_options
from stagedoor.cli.personal_stage import stage_named
from stagedoor.cli.screen import Ending, write
from stagedoor.cli.work import at_work
from stagedoor.errors import UserError

Outputs = Mapping[str, Mapping[str, str]]


class UnknownOutput(UserError):
    """The stage has no output of this name, or several."""

    id = "unknown-output"


class CannotWrite(UserError):
    """The file that was named cannot be written."""

    id = "cannot-write"


@click.command(epilog=EXIT_CODES)
@click.argument("name", required=False)
@STAGE
@click.option("--format", "form", type=click.Choice(["env", "json"]), help="Print them as variables, or as one object.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write them there instead."
)
@with_options
def outputs(name: str | None, stage: str | None, form: str | None, out: Path | None, options: Options) -> None:
    """Show what a deployed stage tells: the outputs of its stacks.

    With NAME (Url, or Api.Url where several stacks have one), that value alone. --out writes JSON, or variables
    (API_URL='https://…') where --format says env or the file's name ends with .env; the app is not run for it.

    \b
    Example:
      curl "$(stagedoor outputs Url --stage dev)"
      stagedoor outputs --stage dev --out site/.env --format env
    """
    with at_work(options) as work:
        with work.interruption.anywhere():
            app = work.app()
            wanted = stage_named(stage, app)
            looking = look_at(work, app, wanted)
        found: Outputs = looking.stage.outputs
        if name is not None:
            stack, key, value = output_named(found, name)
            found = {stack: {key: value}}
        data = {"app": app.name, "stage": wanted, "account": looking.target.account, "region": looking.target.region}
        number = sum(map(len, found.values()))
        sentence = f"The stage {wanted} of {app.name} has {number or 'no'} output{'' if number == 1 else 's'}."
        if out is not None:
            _write(out, _text(found, form or _form_of(out)))
            work.screen.end(Ending(f"Written to {out}.", data={**data, "outputs": found, "file": str(out)}))
        elif options.as_json:
            work.screen.end(Ending(sentence, outputs=found, data=data))
        elif name is not None and form is None:
            write(sys.stdout, f"{value}\n")
        elif form is not None:
            write(sys.stdout, _text(found, form))
        else:
            work.screen.end(Ending(sentence, outputs=found))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise CannotWrite(f"{file} cannot be written: {problem.strerror}.", "Name another with --out.") from None


def output_named(outputs: Outputs, name: str) -> tuple[str, str, str]:
    """Return stack, name and value of an output that is called `Name` or `Stack.Name`. Raises `UnknownOutput`."""
    every = [(stack, key, value) for stack, values in outputs.items() for key, value in values.items()]
    found = [one for one in every if name in (one[1], f"{one[0]}.{one[1]}")]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{stack}.{key}" for stack, key, _ in found or every)
    if found:
        raise UnknownOutput(f"Several stacks have an output {name!r}.", f"Name one of {names}.")
    raise UnknownOutput(
        f"The stage has no output {name!r}.", f"There are: {names}." if names else "It has none at all."
    )


def variables(outputs: Outputs) -> dict[str, str]:
    """Return outputs as variables: `STACK_NAME`, in capitals with underscores."""
    return {_variable(f"{stack}_{key}"): value for stack, values in outputs.items() for key, value in values.items()}


def _variable(name: str) -> str:
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^A-Z0-9]+", "_", parted.upper())


def _text(outputs: Outputs, form: str) -> str:
    if form == "json":
        return json.dumps(outputs, indent=2) + "\n"
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables(outputs).items())


def _form_of(file: Path) -> str:
    return "env" if file.name == ".env" or file.name.startswith(".env.") or file.suffix == ".env" else "json"
