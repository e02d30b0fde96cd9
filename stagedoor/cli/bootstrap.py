"""`stagedoor bootstrap`: prepare an account and region for deploys, once."""

from pathlib import Path

import click

from stagedoor.cli.account import find_target, qualifier_of, use_profile
from stagedoor.cli.app_folder import find_repository
from stagedoor.cli.options import EXIT_CODES, Options, at_work, with_options
from stagedoor.cli.screen import Ending
from stagedoor.deploy.bootstrap import NotBootstrapped, find_bootstrap, stack_name
from stagedoor.deploy.bootstrap import bootstrap as prepare
from stagedoor.deploy.stacks import read_stack
from stagedoor.target import Trust


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
            use_profile(options.profile)
            qualifier = options.qualifier or qualifier_of(here, find_repository(here).root)
            target = find_target(options.region, qualifier, Trust.PREVIEW)
            clients = work.clients(target)
            work.screen.heading(f"bootstrap {qualifier} · account {target.account}, {target.region}")
            try:
                found, did = find_bootstrap(clients, target), "was prepared already"
            except NotBootstrapped:
                found, did = None, "is prepared"
        if found is None:
            work.busy_stacks = lambda: [
                stack for stack in [read_stack(clients, stack_name(target))] if stack and stack.busy
            ]
            with work.screen, work.phase("apply"):
                found = prepare(clients, target, work.emit)
        data = {"account": target.account, "region": target.region, "qualifier": qualifier}
        work.screen.end(
            Ending(
                f"Account {target.account} {did} for deploys in {target.region}.",
                outputs={"bootstrap": {"bucket": found.bucket, "version": str(found.version)}},
                data=data,
            )
        )
