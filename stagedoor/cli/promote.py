"""`stagedoor promote`: have one stage get what another has."""

import click

from stagedoor.cli.asking import FOLLOW, GOOD, Asking, with_service
from stagedoor.cli.options import EXIT_CODES


@click.command(epilog=EXIT_CODES)
@click.argument("source", metavar="FROM")
@click.option("--stage", required=True, metavar="NAME", help="The stage that gets it.")
@FOLLOW
@with_service
def promote(source: str, stage: str, follow: bool, asking: Asking) -> None:
    """Deploy to a stage what another stage of the app has, as it is: the app's program is not run again.

    FROM is a stage, of which its last good run counts, or the number of a run. What was made for previews does not
    reach production, and what was made for one stage by name no other one.

    \b
    Example:
      stagedoor promote staging --stage prod --follow
    """
    if source.isdecimal():
        run = int(source)
    else:
        run = int(asking.newest_run(source, lambda one: _is_good(one["kind"], one["outcome"]), "succeeded")["id"])
    onto = asking.stage(stage)["id"]
    asking.requested(f"/stages/{onto}/promotions", {"run": run}, f"run {run} to {stage}", follow=follow)


def _is_good(kind: str, outcome: str | None) -> bool:
    return kind == "deploy" and outcome in GOOD
