"""The options that the commands have in common, and the exit codes that their help ends with."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click

EXIT_CODES = """
\b
Exit codes: 0 done, 1 something that you can put right, 2 wrong usage,
            3 an error of Stagedoor's own, 130 interrupted.
"""


STAGE = click.option("--stage", metavar="NAME", help="The stage. [default: one of your own, dev-<your login>]")
"""Of commands that a stage of one's own serves as well: `personal_stage.stage_named` says which that is."""

PARAMETERS = click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="[STACK:]NAME=VALUE",
    help="A value for a parameter of the app's templates; more than once for several.",
)
"""`parameters.with_parameters` reads them."""


@dataclass(frozen=True, slots=True)
class Options:
    """What every command that works in an account can be told."""

    app: str | None
    profile: str | None
    region: str | None
    qualifier: str | None
    as_json: bool
    verbose: bool


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the common options, as one `Options`."""

    @click.option("--app", metavar="APP", help="The app: its name in stagedoor.toml, or its folder. [default: here]")
    @click.option("--profile", help="The AWS profile to use. [default: AWS_PROFILE]")
    @click.option(
        "--region",
        envvar=["AWS_REGION", "AWS_DEFAULT_REGION"],
        help="The AWS region. [default: AWS_REGION, or the profile's]",
    )
    @click.option("--qualifier", help="The bootstrap's qualifier. [default: cdk.json's, or CDK's own]")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON lines on stdout, the result as the last one.")
    @click.option("-v", "--verbose", is_flag=True, help="Show what the app's own program prints.")
    @functools.wraps(command)
    def packed(**given: Any) -> None:
        options = Options(**{each.name: given.pop(each.name) for each in fields(Options)})
        command(options=options, **given)

    return packed
