"""The command line, one file a command.

In come arguments and the folder of an app; out come progress, results and an exit code that a script can use:
0 done, 1 something the user can put right, 2 wrong usage, 3 an error of ours, 130 interrupted.
Commands of the deployment service (`serve`, `worker`) are found by entry point, as the library never imports it.
Read `deploy.py` first, then `work.py` (the frame of every command) and `screen.py` (what is shown).
"""

import atexit
import gc
import os
import sys
import threading
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

import click

from stagedoor import __version__
from stagedoor.cli.failure import INTERRUPTED, OUR_ERROR, USER_ERROR, failure_of

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint, EntryPoints

__all__ = ["INTERRUPTED", "OUR_ERROR", "PLUGINS", "USER_ERROR", "collect_seldom", "end_at_once", "main", "stagedoor"]

PLUGINS = "stagedoor.commands"
OWN = (
    "bootstrap",
    "cancel",
    "console",
    "deploy",
    "dev",
    "diff",
    "doctor",
    "init",
    "invoke",
    "login",
    "logs",
    "outputs",
    "plan",
    "promote",
    "remove",
    "retry",
    "rollback",
    "runs",
    "secrets",
    "shell",
    "stages",
    "tokens",
    "types",
)
"""Commands of the library: each is a function of its name in the module of its name."""

_MORE_OBJECTS = 100_000
"""How many objects more than before there are when Python looks for garbage; its own setting is 700."""


class _Commands(click.Group):
    """The commands of the library, and those that other distributions add under `stagedoor.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name them all, without importing any."""
        return sorted({*OWN, *(entry.name for entry in _others())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command, and import it now that it is wanted."""
        if cmd_name in OWN:
            own: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
            return own
        for entry in _others().select(name=cmd_name):
            return _added(entry)
        return None


def _others() -> "EntryPoints":
    """Return the commands of other distributions."""
    from importlib.metadata import entry_points  # no command of our own waits for this

    return entry_points(group=PLUGINS)


def _added(entry: "EntryPoint") -> click.Command:
    """Return a command of another distribution; where that is not installed whole, one that says so when it is run."""
    try:
        command: click.Command = entry.load()
    except ModuleNotFoundError as error:
        missing = error.name

        def refuse() -> None:
            raise click.ClickException(
                f"`stagedoor {entry.name}` belongs to the deployment service, which is not installed here "
                f"({missing} is missing). Run it from a checkout or from the image."
            )

        return click.Command(entry.name, callback=refuse, help="Not installed here: part of the deployment service.")
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def stagedoor() -> None:
    """Give every branch a stage of its own on AWS."""


def collect_seldom() -> None:
    """Have Python look for garbage seldom: a command is short and keeps nearly all that it makes, and to look as often
    as by default takes a tenth of its time.
    """
    gc.set_threshold(_MORE_OBJECTS)


def end_at_once(code: int) -> NoReturn:
    """End as Python does, but for taking each module apart, which takes a tenth of a short command's time."""
    threading._shutdown()  # type: ignore[attr-defined]  # what threads still do is done, as ever
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main() -> NoReturn:
    """Run the command line and exit."""
    collect_seldom()
    code = 0
    try:
        stagedoor(prog_name="stagedoor", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        click.echo("Interrupted.", err=True)
        code = INTERRUPTED
    except BrokenPipeError:  # nobody reads what was asked for, such as a help's text
        code = USER_ERROR
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SystemExit as end:
        code = 0 if end.code is None else end.code if isinstance(end.code, int) else USER_ERROR
    except BaseException as error:
        failure = failure_of(error)
        click.echo(failure.text, err=True)
        code = failure.code
    sys.stdout.flush()
    sys.stderr.flush()
    if code == INTERRUPTED:
        os._exit(code)  # whoever pressed Ctrl-C twice does not wait for an upload's thread
    end_at_once(code)
