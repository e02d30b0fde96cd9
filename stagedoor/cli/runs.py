"""`stagedoor runs`: what the service did to the app's stages, and what it said meanwhile."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from stagedoor.cli.asking import Asking, with_service
from stagedoor.cli.options import EXIT_CODES
from stagedoor.cli.table import write_table
from stagedoor.cli.words import seconds_text

_COLUMNS = ("run", "stage", "what", "outcome", "commit", "why", "by", "began", "took")


@click.command(epilog=EXIT_CODES)
@click.argument("run", type=int, required=False)
@click.option("--stage", metavar="NAME", help="Of this stage alone. [default: of all]")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200), help="How many.")
@click.option("-f", "--follow", is_flag=True, help="Show the newest run as it goes on, and end as it ends.")
@with_service
def runs(run: int | None, stage: str | None, limit: int, follow: bool, asking: Asking) -> None:
    """List what the service did to this app's stages, newest first.

    With RUN, a run's number, that one: all that it said, to its end if it goes on. Exit code 1 where it failed.

    \b
    Example:
      stagedoor runs --stage pr-7
      stagedoor runs --stage pr-7 --follow
    """
    if run is None and follow:
        found = asking.runs(stage, 1)
        run = int(found[0]["id"]) if found else None
    if run is not None:
        asking.follow(f"/runs/{run}/stream", f"{asking.app} · run {run} · {asking.service.url}", {"run": run})
        return
    found = asking.runs(stage, limit)
    if found and not asking.work.options.as_json:
        write_table(_COLUMNS, map(_row, found))
    number = len(found) or "no"
    of = f"The stage {stage} of {asking.app}" if stage else asking.app
    asking.told(f"{of} has {number} run{'' if number == 1 else 's'} to show.", {"stage": stage, "runs": found})


def _row(run: Mapping[str, Any]) -> list[str]:
    began = datetime.fromisoformat(str(run["started_at"]))
    ended = datetime.fromisoformat(str(run["finished_at"])) if run["finished_at"] else datetime.now(UTC)
    outcome = run["outcome"] or f"under way: {run['phase']}".removesuffix(": ")
    return [
        str(run["id"]),
        run["stage_name"],
        run["kind"],
        outcome,
        (run["commit"] or "")[:7],
        run["cause"],
        run["actor"],
        f"{began:%Y-%m-%d %H:%M}",
        seconds_text((ended - began).total_seconds()),
    ]
