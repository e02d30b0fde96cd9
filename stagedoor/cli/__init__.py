"""The command line, one file a command.

In come arguments and the folder of an app; out come progress, results and an exit code that a script can use:
0 done, 1 something the user can put right, 2 wrong usage, 3 an error of ours, 130 interrupted.
Commands of the deployment service (`serve`, `worker`) are found by entry point, as the library never imports it.
"""

import sys
from importlib.metadata import entry_points
from typing import NoReturn

import click

from stagedoor import __version__
from stagedoor.errors import UserError

USER_ERROR = 1
OUR_ERROR = 3
INTERRUPTED = 130
PLUGINS = "stagedoor.commands"


class _Commands(click.Group):
    """The commands of the library, and those that other distributions add under `stagedoor.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name them all, without importing any of the added ones."""
        return sorted({*super().list_commands(ctx), *(entry.name for entry in entry_points(group=PLUGINS))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command, importing an added one when it is wanted."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        for entry in entry_points(group=PLUGINS, name=cmd_name):
            try:
                loaded: click.Command = entry.load()
            except ModuleNotFoundError as error:
                raise click.ClickException(
                    f"`stagedoor {cmd_name}` belongs to the deployment service, which is not installed here "
                    f"({error.name} is missing). Run it from a checkout or from the image."
                ) from None
            return loaded
        return None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def stagedoor() -> None:
    """Give every branch a stage of its own on AWS."""


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        stagedoor(standalone_mode=False)
    except UserError as error:
        click.echo(f"Error: {error.what}\n{error.remedy}", err=True)
        sys.exit(USER_ERROR)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(0)
