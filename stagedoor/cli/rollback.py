"""`stagedoor rollback`: have a stage get what it had."""

from collections.abc import Mapping
from typing import Any

import click

from stagedoor.cli.asking import FOLLOW, GOOD, Asking, with_service
from stagedoor.cli.options import EXIT_CODES


@click.command(epilog=EXIT_CODES)
@click.argument("run", type=int, required=False)
@click.option("--stage", required=True, metavar="NAME", help="The stage.")
@FOLLOW
@with_service
def rollback(run: int | None, stage: str, follow: bool, asking: Asking) -> None:
    """Bring a stage back to what one of its runs deployed; the app's program is not run again.

    Without RUN, to the last good run that deployed something else than the stage has now. It stays so until the next
    push to the stage's branch.

    \b
    Example:
      stagedoor rollback --stage prod --follow
      stagedoor rollback 17 --stage prod
    """
    number = asking.stage(stage)["id"]
    run = run if run is not None else _before(asking, stage)
    asking.requested(f"/stages/{number}/rollbacks", {"run": run}, f"{stage} back to run {run}", follow=follow)


def _before(asking: Asking, stage: str) -> int:
    """Return the newest run that deployed another assembly than the last good one. Raises `NoSuchRun`."""
    live: list[int] = []

    def fits(run: Mapping[str, Any]) -> bool:
        kept = run["assembly"]
        if run["kind"] != "deploy" or run["outcome"] not in GOOD or not isinstance(kept, int):
            return False
        if not live:
            live.append(kept)
        return kept != live[0]

    return int(asking.newest_run(stage, fits, "deployed something else, and was kept")["id"])
