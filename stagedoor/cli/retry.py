"""`stagedoor retry`: have the service do once more what a run did."""

import click

from stagedoor.cli.asking import FOLLOW, Asking, run_of, with_service
from stagedoor.cli.options import EXIT_CODES


@click.command(epilog=EXIT_CODES)
@click.argument("run", type=int, required=False)
@click.option("--stage", metavar="NAME", help="The stage whose newest run is meant, in place of RUN.")
@FOLLOW
@with_service
def retry(run: int | None, stage: str | None, follow: bool, asking: Asking) -> None:
    """Do once more what a run that has ended was for, if that is still what is wanted.

    \b
    Example:
      stagedoor retry --stage pr-7 --follow
    """
    number = run_of(asking, run, stage, lambda one: one["outcome"] is not None, "has ended")
    asking.requested(f"/runs/{number}/retry", None, f"run {number} once more", follow=follow)
