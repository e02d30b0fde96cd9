"""`stagedoor deploy`: take the app in this folder to a stage."""

import click

from stagedoor.cli.ahead import begun_ahead
from stagedoor.cli.options import EXIT_CODES, PARAMETERS, STAGE, Options, with_options


@click.command(epilog=EXIT_CODES)
@click.argument("stacks", nargs=-1)
@STAGE
@click.option("--adopt", is_flag=True, help="Take over the app's stacks that were deployed without Stagedoor.")
@PARAMETERS
@click.option(
    "--hotswap/--no-hotswap",
    default=None,
    help="Change functions without CloudFormation where only they change. [default: in stages that are not to last]",
)
@click.option("--no-cache", is_flag=True, help="Run the app's program even where nothing has changed.")
@with_options
def deploy(
    stacks: tuple[str, ...],
    stage: str | None,
    adopt: bool,
    parameters: tuple[str, ...],
    hotswap: bool | None,
    no_cache: bool,
    options: Options,
) -> None:
    """Deploy the app in this folder to a stage of its own.

    With STACKS, only these are deployed and what they depend on: names that the app gives its stacks, or patterns of
    them ('Data*'). The others stay as they are.

    A stage that is there already is changed; where nothing differs, nothing is done. Stages whose names begin with
    prod, production, staging, main or master keep their data; all others lose it when they are removed.

    What the CDK CLI deployed is taken over with --adopt, once: the stage then has the stacks under the names that
    they have, and is to last.

    \b
    Example:
      stagedoor deploy --stage dev --profile sandbox --region eu-west-1
    """
    with begun_ahead(options.app, stage, cache=not no_cache) as warm:
        # Only here: what speaks to AWS takes longest to load, and the app's program loads meanwhile.
        from stagedoor.cli.deploying import Wanted, deploy_app

        deploy_app(Wanted(stage, stacks, adopt, parameters, hotswap, not no_cache), options, warm)
