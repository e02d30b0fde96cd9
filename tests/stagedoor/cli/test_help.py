"""What every command says of itself."""

import click
import pytest

from stagedoor.cli import OWN, stagedoor


def leaves(command: click.Command, context: click.Context) -> list[tuple[click.Command, click.Context]]:
    if not isinstance(command, click.Group):
        return [(command, context)]
    names = command.list_commands(context)
    found = [(one, click.Context(one, context, name)) for name in names if (one := command.get_command(context, name))]
    return [leaf for one, within in found for leaf in leaves(one, within)]


@pytest.mark.parametrize("name", OWN)
def test_help_has_an_example_the_exit_codes_and_json(name: str):
    context = click.Context(stagedoor, info_name="stagedoor")
    command = stagedoor.get_command(context, name)
    assert command
    whole = command.get_help(click.Context(command, context, name))
    assert f"stagedoor {name}" in whole.partition("Example:")[2]
    assert "Exit codes: 0 done" in whole
    for leaf, within in leaves(command, click.Context(command, context, name)):
        assert "--json" in leaf.get_help(within) or leaf.name == "shell"
