"""`stagedoor dev`: the functions of a stage run on this machine, fed by real events."""

from pathlib import Path

import click

from stagedoor.cli.app_folder import AppFolder
from stagedoor.cli.cache import work_folder
from stagedoor.cli.developing import Developing, Wishes
from stagedoor.cli.live_stage import LiveStage, deploy_own, walk_in
from stagedoor.cli.login import SERVER
from stagedoor.cli.options import EXIT_CODES, STAGE, Options, with_options
from stagedoor.cli.personal_stage import stage_named
from stagedoor.cli.screen import Ending
from stagedoor.cli.service import Logins, Service, ServiceRefused, find_server
from stagedoor.cli.service_address import address, config_of
from stagedoor.cli.work import Work, at_work
from stagedoor.live.sources import overrides_of

_PATTERN_HELP = "by construct path, its last name, handler or logical id; may be given several times"


@click.command(epilog=EXIT_CODES)
@STAGE
@click.option("--only", multiple=True, metavar="PATTERN", help=f"Run these functions only ({_PATTERN_HELP}).")
@click.option("--debug", multiple=True, metavar="PATTERN", help=f"Open a debugger's port ({_PATTERN_HELP}).")
@click.option("--concurrency", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many at once.")
@click.option("--vscode", is_flag=True, help="Write the debuggers' ports into .vscode/launch.json.")
@click.option("--off", is_flag=True, help="Take the bridges out of the stage's functions, and end.")
@SERVER
@with_options
def dev(
    stage: str | None,
    only: tuple[str, ...],
    debug: tuple[str, ...],
    concurrency: int,
    vscode: bool,
    off: bool,
    server: str | None,
    options: Options,
) -> None:
    """Run a stage's functions on this machine.

    Deploys a stage of your own, or walks into one that the service deployed (--stage pr-123), with bridges in its
    functions; then each event comes here, and a file that you save answers the next one. Ctrl-C disconnects, and what
    is deployed answers again.

    \b
    Example:
      stagedoor dev
      stagedoor dev --stage pr-123 --only 'Api*' --debug ApiHandler
    """
    with at_work(options) as work:
        app = work.app()
        logins = Logins.of_user()
        config = config_of(app)
        url = find_server(server, config.live.server, logins)
        service = Service.logged_in(url, logins)
        own = stage is None
        name = stage_named(stage, app, logins.read()[url]["login"])
        with work_folder() as folder:
            with work.screen:
                live = _ready(work, app, name, service, folder, own=own, on=not off)
            if off:
                work.screen.end(Ending(f"The stage {name} of {app.name} has no bridges in its functions any more."))
                return
            wishes = Wishes(only, debug, concurrency, vscode)
            Developing(work, app, live, service, wishes, overrides_of(config)).run()


def _ready(work: Work, app: AppFolder, name: str, service: Service, folder: Path, *, own: bool, on: bool) -> LiveStage:
    """Return the stage with bridges, or without; whose it is decides who deploys it."""
    try:
        said = service.stage(**address(app, name))
    except ServiceRefused:
        if not own and not name.startswith("dev-"):
            raise
        said = {"kind": "personal"}
    work.screen.heading(f"{app.name} · stage {name} · {service.url}")
    if said["kind"] == "personal":
        return deploy_own(work, app, name, service, folder, on=on)
    return walk_in(work, app, said, service, folder, on=on)
