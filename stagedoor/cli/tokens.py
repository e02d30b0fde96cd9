"""`stagedoor tokens`: tokens by which machines call the deployment service, for stages of one repository."""

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from stagedoor.cli.app_folder import find_repository, remote_address
from stagedoor.cli.login import SERVER
from stagedoor.cli.options import EXIT_CODES, Options
from stagedoor.cli.screen import Ending, write
from stagedoor.cli.service import Logins, Service, find_server
from stagedoor.cli.table import write_table
from stagedoor.cli.work import Work, at_work
from stagedoor.errors import UserError

_RIGHTS = ("read", "plan", "deploy", "remove")
_COLUMNS = ("id", "name", "stages", "rights", "begins with", "made by", "good until", "last used")


class NoRepository(UserError):
    """Nothing says which repository is meant."""

    id = "no-repository"


@dataclass(frozen=True, slots=True)
class At:
    """The service, as whoever is logged in, and the repository there."""

    service: Service
    repository: str
    as_json: bool
    work: Work

    def end(self, text: str, **result: Any) -> None:
        """Say how a command ended, to a person or as JSON."""
        self.work.screen.end(Ending(text, data={"repository": self.repository, **result}))


@click.group(epilog=EXIT_CODES)
def tokens() -> None:
    """Let machines call the deployment service: make, list and revoke their tokens.

    It takes the permission `admin` on the repository at GitHub. Workflows of GitHub Actions need no token.

    \b
    Example:
      stagedoor tokens create nightly --stage 'pr-*' --right read --right remove
      stagedoor tokens list
    """


def _with_service(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say where, as one `At`."""

    @SERVER
    @click.option("--repository", metavar="ADDRESS", help="github.com/acme/notes. [default: the one of this folder]")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
    @functools.wraps(command)
    def placed(server: str | None, repository: str | None, as_json: bool, **given: Any) -> None:
        with at_work(Options(None, None, None, None, as_json, False)) as work, work.interruption.anywhere():
            logins = Logins.of_user()
            service = Service.logged_in(find_server(server, None, logins), logins)
            command(at=At(service, repository or _address_here(), as_json, work), **given)

    return placed


@tokens.command(epilog=EXIT_CODES)
@click.argument("name")
@click.option("--stage", default="*", show_default=True, metavar="PATTERN", help="The stages that it is for.")
@click.option("--right", "rights", multiple=True, type=click.Choice(_RIGHTS), help="What it may do. [default: read]")
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 365), help="How long it is good.")
@_with_service
def create(name: str, stage: str, rights: tuple[str, ...], days: int, at: At) -> None:
    """Make a token and print it on stdout, once and never again.

    \b
    Example:
      stagedoor tokens create nightly --stage 'pr-*' --right read --right remove --days 30
    """
    wanted = {"repository": at.repository, "name": name, "stage": stage, "rights": rights or ("read",), "days": days}
    made = at.service.post("/tokens", wanted)
    if not at.as_json:
        write(sys.stdout, f"{made['token']}\n")
    until = str(made["expires_at"])[:10]
    at.end(f"{name} is good until {until}; `stagedoor tokens revoke {made['id']}` ends it sooner.", **made)


@tokens.command("list", epilog=EXIT_CODES)
@_with_service
def list_all(at: At) -> None:
    """List the repository's tokens, those that are over, too.

    \b
    Example:
      stagedoor tokens list --repository github.com/acme/notes
    """
    found = at.service.get("/tokens", repository=at.repository)["tokens"]
    if not at.as_json:
        write_table(_COLUMNS, map(_row, found))
    at.end(f"{at.repository} has {len(found) or 'no'} token{'' if len(found) == 1 else 's'}.", tokens=found)


@tokens.command(epilog=EXIT_CODES)
@click.argument("token_id", type=int, metavar="ID")
@_with_service
def revoke(token_id: int, at: At) -> None:
    """Have a token be good no longer.

    \b
    Example:
      stagedoor tokens revoke 17
    """
    at.service.call("DELETE", f"/tokens/{token_id}")
    at.end(f"The token {token_id} is revoked.", id=token_id)


def _address_here() -> str:
    remote = find_repository(Path.cwd()).remote
    address = remote_address(remote) if remote else None
    if address is None:
        raise NoRepository(
            "This folder is in no repository that is pushed anywhere.",
            "Name the repository with --repository, as github.com/acme/notes.",
        )
    return address


def _row(token: Mapping[str, Any]) -> tuple[str, ...]:
    until = f"revoked {_day(token['revoked_at'])}" if token["revoked_at"] else _day(token["expires_at"])
    told = (token["id"], token["name"], token["stage"], " ".join(token["rights"]), token["hint"], token["created_by"])
    return (*map(str, told), until, _day(token["last_used_at"]) or "never")


def _day(moment: str | None) -> str:
    return (moment or "")[:10]
