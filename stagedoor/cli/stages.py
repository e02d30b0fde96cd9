"""`stagedoor stages`: which stages of the app there are."""

from datetime import UTC, datetime
from typing import Any

import click

from stagedoor.cli.deployed_stage import DeployedStage, deployed_stages, way_in
from stagedoor.cli.options import EXIT_CODES, Options, with_options
from stagedoor.cli.progress import words_for
from stagedoor.cli.screen import Ending
from stagedoor.cli.table import write_table
from stagedoor.cli.work import at_work
from stagedoor.deploy.stacks import GOOD, read_all_stacks

_COLUMNS = ("stage", "kind", "owner", "stacks", "changed", "state", "address")


@click.command(epilog=EXIT_CODES)
@with_options
def stages(options: Options) -> None:
    """List this app's stages in the account and region: who deployed each, when it changed, and where it answers.

    \b
    Example:
      stagedoor stages --profile sandbox --region eu-west-1
    """
    with at_work(options) as work:
        with work.interruption.anywhere():
            app = work.app()
            target, clients = way_in(work, app)
            found = deployed_stages(read_all_stacks(clients), app)
        if found and not options.as_json:
            write_table(_COLUMNS, [_row(stage) for stage in found])
        place = f"account {target.account}, {target.region}"
        data = {
            "app": app.name,
            "account": target.account,
            "region": target.region,
            "stages": list(map(as_json, found)),
        }
        word = {0: "no stage", 1: "1 stage"}.get(len(found), f"{len(found)} stages")
        work.screen.end(Ending(f"{app.name} has {word} in {place}.", data=data))


def as_json(stage: DeployedStage) -> dict[str, Any]:
    """Return a stage as plain JSON."""
    return {
        "name": stage.name,
        "kind": stage.kind,
        "owner": stage.owner,
        "changed": stage.changed.isoformat() if stage.changed else None,
        "stacks": [{"name": stack.name, "arn": stack.arn, "status": stack.status} for stack in stage.stacks],
        "outputs": stage.outputs,
    }


def _row(stage: DeployedStage) -> list[str]:
    odd = sorted({words_for(stack.status) for stack in stage.stacks if stack.status not in GOOD})
    addresses = [value for values in stage.outputs.values() for value in values.values() if _is_url(value)]
    owner = stage.owner if len(stage.owner) <= 12 else f"{stage.owner[:11]}…"
    count = str(len(stage.stacks))
    return [stage.name, stage.kind, owner, count, _age(stage.changed), ", ".join(odd) or "good", " ".join(addresses)]


def _is_url(value: str) -> bool:
    return value.startswith(("https://", "http://"))


def _age(moment: datetime | None) -> str:
    if moment is None:
        return ""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for size, word in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {word} ago"
    return "just now"
