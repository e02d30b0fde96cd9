"""What every command says of itself, and how each fails where there is no terminal."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from stagedoor.cli import OWN, stagedoor
from tests.stagedoor.cli.command import Command

OF_THE_SERVICE = {"cancel", "plan", "promote", "retry", "rollback", "runs", "tokens"}
"""Commands that ask the deployment service, and never AWS."""
WITHOUT_AWS = {"init", "login"} | OF_THE_SERVICE
WITHOUT_STAGE = {"bootstrap", "doctor", "init", "login", "stages", "tokens"}
"""Commands that are about no stage, or about all."""
ARGUMENTS = {
    "invoke": ["Function"],
    "secrets set": ["Name"],
    "secrets get": ["Name"],
    "secrets load": ["-"],
    "secrets remove": ["Name"],
    "promote": ["prod", "--stage", "dev"],
    "plan": ["--stage", "dev"],
    "rollback": ["--stage", "dev"],
    "tokens create": ["nightly"],
    "tokens revoke": ["1"],
    "shell": ["--", "true"],
}
FINE = {"init", "doctor"}
"""Commands that end well, or with a list of their own, in an empty folder without credentials."""


def leaves(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    if not isinstance(command, click.Group):
        yield command, context
        return
    for name in command.list_commands(context):
        if one := command.get_command(context, name):
            yield from leaves(one, click.Context(one, context, name))


def every_command() -> dict[str, str]:
    """Return the help of each command of ours, those of groups too, by its name."""
    root = click.Context(stagedoor, info_name="stagedoor")
    found = {context.command_path: leaf.get_help(context) for leaf, context in leaves(stagedoor, root)}
    names = {path.removeprefix("stagedoor "): told for path, told in found.items()}
    return {name: told for name, told in names.items() if name.split()[0] in OWN}


HELP = every_command()


@pytest.mark.parametrize("name", HELP)
def test_help_has_an_example_the_exit_codes_and_the_options_of_all(name: str):
    told, group = HELP[name], name.split(maxsplit=1)[0]
    assert f"stagedoor {name}" in told.partition("Example:")[2]
    assert "Exit codes: 0 done" in told
    wanted = {"--json"}
    wanted |= set() if group in WITHOUT_AWS else {"--profile", "--region"}
    wanted |= set() if group in WITHOUT_STAGE else {"--stage"}
    assert {option for option in wanted if f"{option} " not in told} == set()


def test_without_a_terminal_each_fails_by_a_code_and_in_lines_alone(tmp_path: Path):
    """In a folder without an app, without credentials and without a service."""
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    nobody = Command(tmp_path, {**home, "STAGEDOOR_SERVER": "http://127.0.0.1:9", "AWS_REGION": "us-east-1"})
    wrong: dict[str, list[str]] = {}
    for name in sorted(HELP.keys() - FINE):
        words = [*name.split(), "--json", *ARGUMENTS.get(name, [])]
        ended = nobody(*words)
        wrong |= {name: found} if (found := problems(ended)) else {}
    assert not wrong, "\n".join(f"{name}: {found}" for name, found in wrong.items())


def problems(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what a script could not use of how a command failed."""
    found = []
    if ended.returncode != 1:
        found.append(f"exit code {ended.returncode}: {ended.stderr[-300:]}")
    if "\x1b" in ended.stdout + ended.stderr or "\r" in ended.stdout + ended.stderr:
        found.append("more than lines")
    try:
        result = json.loads(ended.stdout.splitlines()[-1])
        if result["ok"] is not False or not {"id", "what", "remedy"} <= result["error"].keys():
            found.append(f"a result of {result}")
    except (IndexError, ValueError, KeyError) as problem:
        found.append(f"no result: {problem!r} in {ended.stdout!r} {ended.stderr[-300:]}")
    return found
