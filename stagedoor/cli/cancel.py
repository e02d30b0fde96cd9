"""`stagedoor cancel`: have the service end a run."""

import click

from stagedoor.cli.asking import FOLLOW, Asking, run_of, with_service
from stagedoor.cli.options import EXIT_CODES


@click.command(epilog=EXIT_CODES)
@click.argument("run", type=int, required=False)
@click.option("--stage", metavar="NAME", help="The stage whose run is under way, in place of RUN.")
@FOLLOW
@with_service
def cancel(run: int | None, stage: str | None, follow: bool, asking: Asking) -> None:
    """End a run at its next safe point; what CloudFormation has begun to update it rolls back.

    The stage can be deployed again. With --follow, until the run has ended.

    \b
    Example:
      stagedoor cancel --stage pr-7
      stagedoor cancel 17 --follow
    """
    number = run_of(asking, run, stage, lambda one: one["outcome"] is None, "is under way")
    said = asking.service.post(f"/runs/{number}/cancel")
    if not said["cancelled"]:
        asking.told(f"The run {number} had ended already.", said)
    elif follow:
        asking.follow(f"/runs/{number}/stream", f"{asking.app} · cancelling run {number}", said, good="cancelled")
    else:
        asking.told(f"The run {number} will end at its next safe point.", said)
