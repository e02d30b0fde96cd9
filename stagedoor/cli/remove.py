"""`stagedoor remove`: take a stage away."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from stagedoor.cli.app_folder import find_app_of_stage
from stagedoor.cli.options import EXIT_CODES, STAGE, Options, with_options
from stagedoor.cli.personal_stage import stage_named
from stagedoor.cli.screen import Ending
from stagedoor.cli.stage import busy_stacks, find_stage
from stagedoor.cli.work import at_work
from stagedoor.deploy.plan import KnownStack
from stagedoor.deploy.remove import Removed
from stagedoor.deploy.remove import remove as remove_stage
from stagedoor.deploy.stacks import read_all_stacks
from stagedoor.deploy.stage_values import forget_values
from stagedoor.deploy.swapping.drift import ParameterDrifts
from stagedoor.errors import UserError
from stagedoor.naming import StageIdentity
from stagedoor.target import Target


class NotConfirmed(UserError):
    """Nobody said yes to removing the stage."""

    id = "removal-not-confirmed"


@click.command(epilog=EXIT_CODES)
@STAGE
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Not enough for a stage that is to last.")
@click.option("--confirm", metavar="NAME", help="The stage's name once more: do not ask, even if it is to last.")
@with_options
def remove(stage: str | None, yes: bool, confirm: str | None, options: Options) -> None:
    """Remove a stage: its stacks, and its data with them.

    Stages whose names begin with prod, production, staging, main or master keep the data that their app says to keep,
    and are removed only by whoever types their name.

    \b
    Example:
      stagedoor remove --stage dev --yes
    """
    with at_work(options) as work:
        with work.interruption.anywhere():
            app = find_app_of_stage(Path.cwd(), options.app)
            name = stage_named(stage, app)
            found = find_stage(work, app, name)
            identity, target, clients, known = found.identity, found.target, found.clients, found.known
            work.screen.heading(f"{app.name} · stage {name} · account {target.account}, {target.region}")
            if known:
                _ask(identity, known, yes=yes, confirm=confirm, may_ask=not options.as_json)
        work.busy_stacks = lambda: busy_stacks(read_all_stacks(clients), identity)
        with work.screen, work.phase("remove"):
            removed = remove_stage(identity, clients, work.ledger(), work.emit, known)
            ParameterDrifts(clients, identity).forget_all()
            forget_values(identity, clients, work.emit)
        work.screen.end(_ending(identity, target, removed))


def _ask(
    identity: StageIdentity, stacks: Sequence[KnownStack], *, yes: bool, confirm: str | None, may_ask: bool
) -> None:
    """Ask whether the stage is really to go. Raises `NotConfirmed`."""
    stage, lasting = identity.stage, not identity.disposable
    if confirm == stage or (yes and not lasting):
        return
    if confirm is not None:
        raise NotConfirmed(f"--confirm says {confirm!r}, and the stage is {stage!r}.", "Write the stage's name twice.")
    if not may_ask or not sys.stdin.isatty():
        raise NotConfirmed(
            f"Removing the stage {stage} needs a yes, and there is no terminal to ask at.",
            f"Add --confirm {stage}." if lasting else "Add --yes.",
        )
    for stack in stacks:
        click.echo(f"  {stack.name}", err=True)
    data = "Data that the app says to keep stays." if lasting else "Its buckets, tables and logs go with it."
    if lasting:
        said = click.prompt(f"{data} Type the stage's name to remove it", err=True) == stage
    else:
        said = click.confirm(f"{data} Remove it?", err=True)
    if not said:
        raise NotConfirmed(f"The stage {stage} stays as it is.", "Nothing was changed.")


def _ending(identity: StageIdentity, target: Target, removed: Removed) -> Ending:
    kept = tuple(f"Kept: {one.physical_id} ({one.type}): {one.reason.rstrip('.')}." for one in removed.kept)
    did = "is gone." if removed.deleted else "is not there: nothing to remove."
    return Ending(
        f"The stage {identity.stage} of {identity.app} {did}",
        more=kept,
        data={
            "app": identity.app,
            "stage": identity.stage,
            "account": target.account,
            "region": target.region,
            "deleted": list(removed.deleted),
            "kept": [
                {"stack": one.stack, "type": one.type, "id": one.physical_id, "reason": one.reason}
                for one in removed.kept
            ],
        },
    )
