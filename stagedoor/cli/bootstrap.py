"""`stagedoor bootstrap`: prepare an account and region for deploys, once."""

from pathlib import Path

import click

from stagedoor.cli.app_folder import find_repository
from stagedoor.cli.options import EXIT_CODES, Options, with_options
from stagedoor.cli.screen import Ending
from stagedoor.cli.work import Work, at_work
from stagedoor.deploy.bootstrap import Bootstrap, NotBootstrapped, find_bootstrap, stack_name
from stagedoor.deploy.bootstrap import bootstrap as prepare
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.stacks import ActualStack, read_stack
from stagedoor.target import Target, Trust


@click.command(epilog=EXIT_CODES)
@with_options
def bootstrap(options: Options) -> None:
    """Prepare an account and region for deploys: a bucket for assets, and a parameter that says so.

    What `cdk bootstrap` has prepared is used as it is, and nothing is changed. Needs no app; in an app's folder the
    bootstrap has the qualifier that cdk.json asks for.

    \b
    Example:
      stagedoor bootstrap --profile sandbox --region eu-west-1
    """
    with at_work(options) as work:
        with work.interruption.anywhere():
            here = work.app().path if options.app else Path.cwd().resolve()
            target = work.target(here, find_repository(here).root, Trust.PREVIEW)
            clients = work.clients(target)
            work.screen.heading(f"bootstrap {target.qualifier} · account {target.account}, {target.region}")
            found = _find(clients, target)
        made = found or _prepare(work, clients, target)
        did = "was prepared already" if found else "is prepared"
        work.screen.end(
            Ending(
                f"Account {target.account} {did} for deploys in {target.region}.",
                outputs={"bootstrap": {"bucket": made.bucket, "version": str(made.version)}},
                data={"account": target.account, "region": target.region, "qualifier": target.qualifier},
            )
        )


def _find(clients: Clients, target: Target) -> Bootstrap | None:
    try:
        return find_bootstrap(clients, target)
    except NotBootstrapped:
        return None


def _prepare(work: Work, clients: Clients, target: Target) -> Bootstrap:
    def busy_stacks() -> list[ActualStack]:
        stack = read_stack(clients, stack_name(target))
        return [stack] if stack and stack.busy else []

    work.busy_stacks = busy_stacks
    with work.screen, work.phase("apply"):
        return prepare(clients, target, work.emit)
