"""Tokens of the App's installations: for one repository, with the permissions that one task needs, for one hour.

Sources: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app (the JWT's claims) and
https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from threading import Lock
from typing import cast

import jwt
from github import Github
from github.Auth import AppAuthToken
from jwt.algorithms import AllowedPrivateKeys, RSAAlgorithm
from urllib3.util import Retry

from service.github.errors import CredentialsRefused, GitHubRefused, InstallationGone, is_missing, translated

CLOCK_SKEW_SECONDS = 60
JWT_SECONDS = 540  # GitHub takes at most ten minutes by its own clock
RENEW_BEFORE_SECONDS = 300
TIMEOUT_SECONDS = 15

RETRY = Retry(
    total=3,
    backoff_factor=0.5,
    status_forcelist=[500, 502, 503, 504],
    # Not POST: one that got a 502 may have been carried out, and a second one would double what it made.
    allowed_methods={"GET", "HEAD", "PUT", "PATCH", "DELETE"},
    # PyGithub's own retry sleeps through a rate limit, up to an hour, in the worker's time; here the limit comes back
    # as an error that says when to try again.
    respect_retry_after_header=False,
    raise_on_status=False,
)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a token is for: one repository, by its id, through one installation of one host, with named permissions."""

    api_url: str
    installation_id: int
    repository_id: int
    permissions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, api_url: str, installation_id: int, repository_id: int, permissions: Mapping[str, str]) -> "Scope":
        """Return the scope with its permissions in a fixed order, so that equal ones are one."""
        return cls(api_url, installation_id, repository_id, tuple(sorted(permissions.items())))


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    expires_at: float


def app_jwt(app_id: int, private_key: str, now: float) -> str:
    """Return the App's own credential, valid for nine minutes from `now` (seconds since 1970)."""
    claims = {"iat": int(now) - CLOCK_SKEW_SECONDS, "exp": int(now) + JWT_SECONDS, "iss": str(app_id)}
    return jwt.encode(claims, _read(private_key), algorithm="RS256")


@lru_cache(maxsize=2)
def _read(private_key: str) -> AllowedPrivateKeys:
    """Return the key of a PEM. To read one, and see that it is sound, takes many times as long as to sign with it."""
    return cast(AllowedPrivateKeys, RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(private_key))


class AppTokens:
    """Asks for tokens and keeps each until five minutes before it expires. Safe to share between threads."""

    def __init__(self, app_id: int, private_key: str, clock: Callable[[], float] = time.time) -> None:
        self._app_id = app_id
        self._private_key = private_key
        self._clock = clock
        self._tokens: dict[Scope, _Token] = {}
        self._lock = Lock()

    def token(self, scope: Scope) -> str:
        """Return a token that is good for at least five minutes.

        Raises `InstallationGone` when the installation is suspended, removed or does not hold the repository or a
        permission, and `GitHubUnavailable` when GitHub cannot say.
        """
        with self._lock:
            held = self._tokens.get(scope)
        if held is None or held.expires_at - RENEW_BEFORE_SECONDS <= self._clock():
            held = self._ask(scope)
            with self._lock:
                self._tokens[scope] = held
        return held.value

    def forget(self, scope: Scope) -> None:
        """Ask anew next time: GitHub did not take the token any more."""
        with self._lock:
            self._tokens.pop(scope, None)

    def _ask(self, scope: Scope) -> _Token:
        auth = AppAuthToken(app_jwt(self._app_id, self._private_key, self._clock()))
        github = Github(base_url=scope.api_url, auth=auth, retry=RETRY, timeout=TIMEOUT_SECONDS)
        wish = {"repository_ids": [scope.repository_id], "permissions": dict(scope.permissions)}
        try:
            # PyGithub asks for tokens for all of an installation's repositories only.
            with translated():
                _, said = github.requester.requestJsonAndCheck(
                    "POST", f"/app/installations/{scope.installation_id}/access_tokens", input=wish
                )
        except GitHubRefused as error:
            if is_missing(error) or error.status in {403, 422}:
                raise InstallationGone(f"No token for installation {scope.installation_id}: {error}") from error
            raise
        except CredentialsRefused as error:
            raise CredentialsRefused(f"GitHub does not take the App's own key or id: {error}") from error
        finally:
            github.close()
        return _Token(said["token"], datetime.fromisoformat(said["expires_at"]).timestamp())
