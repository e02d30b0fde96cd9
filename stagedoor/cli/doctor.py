"""`stagedoor doctor`: whether this machine and account have all that the other commands need."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from stagedoor.cli.account_checks import account_checks
from stagedoor.cli.app_folder import AppFolder, NoApp, SeveralApps, find_repository
from stagedoor.cli.checks import Check, Health, app_checks, cache_check, service_check, tool_checks
from stagedoor.cli.failure import USER_ERROR
from stagedoor.cli.login import SERVER
from stagedoor.cli.options import EXIT_CODES, Options, with_options
from stagedoor.cli.screen import Ending, write
from stagedoor.cli.work import Work, at_work
from stagedoor.target import Trust

_SIGNS = {Health.GOOD: ("ok", "green"), Health.WARNING: ("!", "yellow"), Health.BAD: ("no", "red")}


@click.command(epilog=EXIT_CODES)
@SERVER
@with_options
def doctor(server: str | None, options: Options) -> None:
    """Look for what would keep the other commands from working, and say how to put it right.

    Nothing is changed. In an app's folder the app is looked at, too. The exit code is 1 where something is wrong.

    \b
    Example:
      stagedoor doctor --profile sandbox --region eu-west-1
    """
    found: list[Check] = []
    with at_work(options) as work, work.interruption.anywhere():
        for check in _checks(work, server):
            found.append(check)
            if not options.as_json:
                _print(check)
        wrong = [check for check in found if check.health is Health.BAD]
        sentence = (
            f"{', '.join(check.name for check in wrong)} to be put right." if wrong else "All is as it should be."
        )
        said = [{"name": c.name, "health": c.health.value, "said": c.said, "remedy": c.remedy} for c in found]
        work.screen.end(Ending(sentence, data={"healthy": not wrong, "checks": said}))
    if wrong:
        sys.exit(USER_ERROR)


def _checks(work: Work, server: str | None) -> Iterator[Check]:
    yield from tool_checks()
    app = _app(work)
    folder = app.path if app else Path.cwd().resolve()
    root = app.repository.root if app else find_repository(folder).root
    yield from account_checks(lambda: work.target(folder, root, Trust.PREVIEW), work.clients)
    if app is not None:
        yield from app_checks(app)
    yield cache_check()
    service = service_check(app, server)
    if service is not None:
        yield service


def _app(work: Work) -> AppFolder | None:
    """Return the app that is here, if one is; one that was named must be."""
    try:
        return work.app()
    except (NoApp, SeveralApps):
        if work.options.app:
            raise
        return None


def _print(check: Check) -> None:
    word, colour = _SIGNS[check.health]
    sign = click.style(f"{word:2}", fg=colour) if sys.stdout.isatty() else f"{word:2}"
    write(sys.stdout, f"{sign}  {check.name:12} {check.said}\n")
    if check.remedy:
        write(sys.stdout, f"{'':16} {check.remedy}\n")
