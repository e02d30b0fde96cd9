"""The deployment service as the command line knows it: where it is, who is logged in there, and what it answers."""

import http.client
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from stagedoor import __version__
from stagedoor.errors import UserError

BASE = "/api/v1"
TOKEN_VARIABLE = "STAGEDOOR_TOKEN"  # noqa: S105 - the name of one
USUAL = "http://127.0.0.1:8000"
"""Where a service on this machine is, unless its operator says otherwise."""

_SECONDS = 30.0
_PASSING = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
_GLANCE_SECONDS = 1.0


class NoService(UserError):
    """Nothing says where the service is, or it does not answer."""

    id = "no-service"


class NotLoggedIn(UserError):
    """Nobody has logged in at the service from this machine."""

    id = "not-logged-in"


class ServiceRefused(UserError):
    """The service said no; the words are its own."""

    id = "service-refused"


class ServiceBusy(ServiceRefused):
    """The service said that the same may be asked for again in a while."""


class Logins:
    """Logins by server, in a file that only this person can read."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def of_user(cls) -> "Logins":
        """Return this person's (https://specifications.freedesktop.org/basedir-spec/latest/)."""
        home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return cls(Path(home) / "stagedoor" / "logins.json")

    def read(self) -> dict[str, dict[str, str]]:
        """Return what is kept: `token` and `login` by server, the newest login last."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def keep(self, server: str, token: str, login: str) -> None:
        """Keep a login; the file is replaced as a whole."""
        kept = {name: each for name, each in self.read().items() if name != server}
        kept[server] = {"token": token, "login": login}
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        written, name = tempfile.mkstemp(dir=self._file.parent)  # which nobody else can read, either
        with os.fdopen(written, "w", encoding="utf-8") as file:
            json.dump(kept, file, indent=1)
        Path(name).replace(self._file)


def find_server(named: str | None, declared: str | None, logins: Logins) -> str:
    """Return the service's URL: as it was named, as `stagedoor.toml` has it, where the last login was, or on this
    machine. Raises `NoService`.
    """
    for url in (named, declared, *reversed(logins.read())):
        if url:
            return _checked(url)
    if _answers(USUAL):
        return USUAL
    raise NoService(
        "Nothing says where the deployment service is, and none answers on this machine.",
        "Name it with --server, STAGEDOOR_SERVER or `server` in stagedoor.toml; `make up` starts one here.",
    )


class Service:
    """Asks the service, as whoever has `token`."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url
        self._token = token

    @classmethod
    def logged_in(cls, url: str, logins: Logins) -> "Service":
        """Return the service with the token in `STAGEDOOR_TOKEN`, a machine's, else with the login that is kept for it.
        Raises `NotLoggedIn`.
        """
        if token := os.environ.get(TOKEN_VARIABLE):
            return cls(url, token)
        kept = logins.read().get(url)
        if not kept:
            raise NotLoggedIn(f"You are not logged in at {url}.", f"Run `stagedoor login --server {url}`.")
        return cls(url, kept["token"])

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Ask; raises what `call` raises."""
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path)[1]

    def stage(self, repository: str, app: str, stage: str) -> dict[str, Any]:
        """Return a stage by its address; raises what `call` raises, also where there is none."""
        found: list[dict[str, Any]] = self.get("/stages", repository=repository, app=app, stage=stage)["stages"]
        return found[0]

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask for something to be done; raises what `call` raises."""
        return self.call("POST", path, body)[1]

    def put(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Write something down; raises what `call` raises."""
        return self.call("PUT", path, body)[1]

    def headers(self, accept: str) -> dict[str, str]:
        """Return the headers of a request: who asks, and for what."""
        headers = {"Accept": accept, "User-Agent": f"stagedoor-cli/{__version__}"}
        return {**headers, "Authorization": f"Bearer {self._token}"} if self._token else headers

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of an answer; `path` is one of the API's (docs/api.md). Raises `NoService`,
        `NotLoggedIn` and `ServiceRefused`.
        """
        headers = self.headers("application/json")
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.at(path), data, headers, method=method)  # noqa: S310 - see _checked
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                return answer.status, _document(answer.read())
        except urllib.error.HTTPError as error:
            raise self.refused(error) from None
        except (OSError, http.client.HTTPException) as error:
            raise self.away(error) from None

    def at(self, path: str) -> str:
        """Return the URL of one of the API's paths."""
        return self.url + BASE + path

    def refused(self, error: urllib.error.HTTPError) -> UserError:
        """Return what the service's problem document says as an error; without one, that this is no service."""
        said = _document(error.read())
        kind = ServiceBusy if error.code in _PASSING else ServiceRefused
        if "what" not in said:
            what = f"The service at {self.url} answered {error.code}."
            return kind(what, "See that it is a Stagedoor of this version.")
        if said.get("id") == NotLoggedIn.id:
            return NotLoggedIn(str(said["what"]), f"Run `stagedoor login --server {self.url}`.")
        return kind(str(said["what"]), str(said.get("remedy", "")))

    def away(self, error: Exception) -> NoService:
        """Return that the service does not answer."""
        reason = getattr(error, "reason", error)
        what = f"The service at {self.url} does not answer: {reason}."
        return NoService(what, "See that it runs, and that its URL is right.")


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise NoService(f"{url!r} is not the URL of a service.", "Write it as https://stages.example.com.")
    return url.rstrip("/")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=_GLANCE_SECONDS) as answer:  # noqa: S310
            return bool(answer.status == HTTPStatus.OK)
    except (OSError, http.client.HTTPException):
        return False


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
