"""`stagedoor login`: say to the service who you are, by GitHub."""

import json
import time

import click

from stagedoor.cli.options import EXIT_CODES, Options
from stagedoor.cli.screen import Ending
from stagedoor.cli.service import Logins, NoService, Service, ServiceBusy, ServiceRefused, find_server
from stagedoor.cli.work import at_work

SERVER = click.option(
    "--server",
    envvar="STAGEDOOR_SERVER",
    metavar="URL",
    help="The deployment service. [default: STAGEDOOR_SERVER, stagedoor.toml, your last login, or this machine]",
)

_ACCEPTED = 202
_LONGEST_PAUSE = 60  # seconds


@click.command(epilog=EXIT_CODES)
@SERVER
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines on stdout, the result as the last one.")
def login(server: str | None, as_json: bool) -> None:
    """Log in at the deployment service, with GitHub.

    Shows a code and the page on GitHub to enter it at. The login holds for 30 days, for this machine.

    \b
    Example:
      stagedoor login --server https://stages.example.com
    """
    with at_work(Options(None, None, None, None, as_json, False)) as work, work.interruption.anywhere():
        logins = Logins.of_user()
        service = Service(find_server(server, None, logins))
        begun = service.post("/login")
        if as_json:
            click.echo(json.dumps({"event": "code", "user_code": begun["user_code"], "at": begun["verification_uri"]}))
        else:
            click.echo(f"Open {begun['verification_uri']} and enter {begun['user_code']}", err=True)
        seconds = int(begun.get("interval", 5)), int(begun.get("expires_in", 900))
        done = _wait(service, str(begun["device_code"]), *seconds)
        logins.keep(service.url, done["token"], done["login"])
        said = {"login": done["login"], "server": service.url}
        work.screen.end(Ending(f"Logged in at {service.url} as {done['login']}.", data=said))


def _wait(service: Service, device_code: str, pause: int, patience: int) -> dict[str, str]:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        time.sleep(pause)
        try:
            status, said = service.call("POST", "/login/poll", {"device_code": device_code})
        except (NoService, ServiceBusy):  # whoever has entered the code need not do so again for it
            pause = min(2 * pause, _LONGEST_PAUSE)
            continue
        if status != _ACCEPTED:
            return said
        pause = max(pause, int(said.get("wait", pause)))
    raise ServiceRefused("The code was not entered in time.", "Run `stagedoor login` again.")
