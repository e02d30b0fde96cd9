"""The command: what it asks, in which order, and what it prints. No secret is among either."""

import secrets
import time
import webbrowser
from urllib.parse import urlsplit

import click

from service.settings import LOOPBACK
from service.setup.conversion import convert
from service.setup.manifest import LONGEST_NAME, Place
from service.setup.page import Page, Wanted
from service.setup.states import LIFE_SECONDS, States
from service.setup.stores import KEY, Store, open_store
from stagedoor.errors import UserError


class InvalidSetup(UserError):
    """The command's options make no App."""

    id = "invalid-setup"


class CredentialsNotKept(UserError):
    """The App was made, and what GitHub tells of it once could not be kept."""

    id = "setup-credentials-not-kept"


class SetupTookTooLong(UserError):
    """Nobody came back from GitHub."""

    id = "setup-took-too-long"


@click.command()
@click.option(
    "--url", "service", required=True, help="The service's public URL, such as https://stagedoor.example.com."
)
@click.option("--store", "kept", required=True, help="Where secrets go: a file's path, ssm:/PATH, secretsmanager:NAME.")
@click.option("--organization", default="", help="The organization that the App is to belong to; else you.")
@click.option("--name", default="Stagedoor", show_default=True, help="The App's name, which is unique on a GitHub.")
@click.option("--github", default="https://github.com", show_default=True, help="A GitHub Enterprise Server's URL.")
@click.option("--replace", is_flag=True, help="Overwrite secrets that are there.")
@click.option("--browser/--no-browser", default=True, help="Open the page, or only name it.")
@click.option("--port", default=0, help="The page's port on 127.0.0.1; any by default.")
def setup(
    service: str, kept: str, organization: str, name: str, github: str, replace: bool, browser: bool, port: int
) -> None:
    """Create the service's GitHub App in the browser, and keep its credentials.

    They go from GitHub into the store: none is on a page, in an argument or in a log.

    Example: stagedoor setup --url https://stagedoor.example.com --organization acme --store stagedoor.env
    """
    place = Place.of(_url(github, "--github"))
    wanted = Wanted(place, organization, _name(name), _url(service, "--url"))
    store = open_store(kept, replace=replace)
    store.check()
    link = run(wanted, store, opens=browser, port=port)
    click.echo(f"The App is there; its credentials are in {store.name}.")
    click.echo(f"Install it: {link}")
    click.echo("For `stagedoor login`, tick “Enable Device Flow” on its page: a manifest cannot say that.")


def run(wanted: Wanted, store: Store, *, opens: bool, port: int = 0, life: float = LIFE_SECONDS) -> str:
    """Serve the page until the App is there; return where it is installed. Raises what went wrong."""

    def created(code: str) -> str:
        app = convert(wanted.place, code)
        try:
            store.put(values(wanted, app.id, app.private_key, app.webhook_secret))
        except UserError as error:
            raise CredentialsNotKept(
                f"The App is there, and its credentials could not be kept: {error.what}",
                f"GitHub tells them once: delete the App ({app.url}), put that right and run the command again.",
            ) from None
        return f"{app.url}/installations/new"

    page = Page(wanted, States(time.time, life), created, port)
    try:
        click.echo(f"Open {page.url} in a browser on this machine.")
        if opens:
            webbrowser.open(page.url)
        end = time.monotonic() + life
        while page.outcome is None:
            if time.monotonic() > end:
                raise SetupTookTooLong(f"Nobody came back from GitHub for {life:.0f} s.", "Run the command again.")
            page.serve_once()
    finally:
        page.close()
    if isinstance(page.outcome, Exception):
        raise page.outcome
    return page.outcome


def values(wanted: Wanted, app_id: int, private_key: str, webhook_secret: str) -> dict[str, str]:
    """Return all that the service has to be told, by variable; what GitHub does not give is made here."""
    place = wanted.place
    server = {"STAGEDOOR_GITHUB_API_URL": place.api, "STAGEDOOR_GITHUB_WEB_URL": place.web}
    return {
        "STAGEDOOR_PUBLIC_URL": wanted.service,
        "STAGEDOOR_GITHUB_APP_ID": str(app_id),
        KEY: private_key,
        "STAGEDOOR_GITHUB_WEBHOOK_SECRETS": webhook_secret,
        "STAGEDOOR_TOKEN_KEY": secrets.token_hex(32),
        "STAGEDOOR_CONSOLE_PASSWORD": secrets.token_urlsafe(18),
        **(server if place != Place() else {}),
    }


def _name(name: str) -> str:
    if not 0 < len(name) <= LONGEST_NAME:
        raise InvalidSetup(f"GitHub's Apps have names of 1 to {LONGEST_NAME} characters.", "Say --name.")
    return name


def _url(said: str, option: str) -> str:
    """Return a URL without a slash at its end; secrets go to it or come from it, so it is one of HTTPS."""
    where = urlsplit(said)
    if where.scheme not in ("https", "http") or not where.hostname or where.query or where.fragment:
        raise InvalidSetup(f"{said!r} is no URL.", f"Say {option} https://….")
    if where.scheme == "http" and where.hostname not in LOOPBACK:
        raise InvalidSetup(f"To {said} secrets would cross the network in the clear.", f"Say {option} https://….")
    return said.rstrip("/")
