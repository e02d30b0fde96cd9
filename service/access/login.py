"""GitHub's device flow, with the service in the middle: the service has the App's client id and keeps no user's token.

Sources: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app#using-the-device-flow-to-generate-a-user-access-token
and RFC 8628. The App's owner ticks "Enable Device Flow" on its page.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from service.access.errors import GitHubAway, LoginFailed
from service.access.tokens import LoginToken
from service.github.app_tokens import TIMEOUT_SECONDS, app_jwt
from service.settings import Settings

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_JSON = {"Accept": "application/json"}
_WAITING = frozenset({"authorization_pending", "slow_down"})
_ENDS = {
    "expired_token": ("The code was not entered in time.", "Run `stagedoor login` again."),
    "access_denied": ("The login was refused on GitHub's page.", "Run `stagedoor login` again and approve it."),
    "device_flow_disabled": (
        "The service's GitHub App does not allow logins by device.",
        "Whoever owns the App ticks “Enable Device Flow” on its page.",
    ),
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nobody has approved yet; ask again after `seconds`."""

    seconds: int


class DeviceFlow:
    """Asks GitHub on behalf of people who log in. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client_id = ""

    def begin(self) -> Mapping[str, Any]:
        """Return what GitHub says for a new login: `device_code`, `user_code`, `verification_uri`, `interval`, …"""
        said = self._post("/login/device/code", {"client_id": self._own_id()})
        if "device_code" not in said:
            raise _ended(str(said.get("error")))
        return said

    def finish(self, device_code: str, interval: int = 5) -> LoginToken | Waiting:
        """Return who has approved the login. Raises `LoginFailed` when nobody will."""
        form = {"client_id": self._own_id(), "device_code": device_code, "grant_type": _GRANT}
        said = self._post("/login/oauth/access_token", form)
        if token := said.get("access_token"):
            user = self._api("/user", f"Bearer {token}")
            return LoginToken(str(user["login"]), int(user["id"]), host_name(self._settings))
        error = str(said.get("error"))
        if error in _WAITING:
            return Waiting(int(said.get("interval") or interval))
        raise _ended(error)

    def _own_id(self) -> str:
        """Return the App's client id, which GitHub tells to whoever has the App's key."""
        if not self._client_id:
            own = app_jwt(self._settings.github_app_id, self._settings.private_key, time.time())
            self._client_id = str(self._api("/app", f"Bearer {own}")["client_id"])
        return self._client_id

    def _post(self, path: str, form: Mapping[str, str]) -> dict[str, Any]:
        try:
            url = self._settings.github_web_url.rstrip("/") + path
            answer = requests.post(url, data=form, headers=_JSON, timeout=TIMEOUT_SECONDS, allow_redirects=False)
            return dict(answer.json())
        except (requests.RequestException, ValueError) as error:
            raise GitHubAway from error

    def _api(self, path: str, authorization: str) -> dict[str, Any]:
        try:
            url = self._settings.github_api_url.rstrip("/") + path
            headers = {**_JSON, "Authorization": authorization}
            answer = requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
            answer.raise_for_status()
            return dict(answer.json())
        except (requests.RequestException, ValueError) as error:
            raise GitHubAway from error


def host_name(settings: Settings) -> str:
    """Return what the GitHub server is called in `github_hosts` (see `service.webhooks.views`)."""
    return urlsplit(settings.github_web_url).netloc.lower()


def _ended(error: str) -> LoginFailed:
    return LoginFailed(*_ENDS.get(error, (f"GitHub ended the login: {error[:100]}.", "Run `stagedoor login` again.")))
