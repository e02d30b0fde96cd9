"""Who calls, and what they may do: people, runs of GitHub Actions, and machines.

Every refusal is written to the log with its reason and answered without it: one text for whoever is not known, one for
whoever may not. docs/callers.md says what is asked of each kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from service.access.errors import Forbidden, NotLoggedIn, UnknownRepository
from service.access.permission import ADMINISTERING, WRITING, Permissions
from service.access.tokens import LoginToken, TokenInvalid, Tokens
from service.github.client import GitHubClients
from service.parts import Parts

log = structlog.get_logger(__name__)


class Right(StrEnum):
    """What may be done with a repository's stages. ADMIN: its tokens and the record of who did what."""

    READ = "read"
    DEPLOY = "deploy"
    REMOVE = "remove"
    ADMIN = "admin"


class CallerKind(StrEnum):
    """Who there is to call."""

    PERSON = "person"
    ACTIONS = "actions"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who is known. `name` is what the audit calls them: `octocat`, `actions:acme/notes#123`, `token:nightly`.

    `login` is a person's; the others are what a run or a machine was given.
    """

    kind: CallerKind
    name: str
    login: LoginToken | None = None


class Callers:
    """Tells who calls and whether they may. Safe to share between threads; made once a process."""

    def __init__(self, parts: Parts, tokens: Tokens, permissions: Permissions) -> None:
        self._parts = parts
        self._tokens = tokens
        self._permissions = permissions

    @classmethod
    def of(cls, parts: Parts) -> "Callers":
        """Return it for a service with these parts."""
        github = GitHubClients(parts.settings)
        return cls(parts, Tokens.of(parts.settings), Permissions(parts.settings, parts.sessions, github))

    def identify(self, authorization: str | None) -> Caller:
        """Return whoever an Authorization header stands for. Raises `NotLoggedIn`."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise self._not_known("no bearer token")
        try:
            login = self._tokens.verify(token.strip(), LoginToken)
        except TokenInvalid:
            raise self._not_known("no token of ours") from None
        return Caller(CallerKind.PERSON, login.login, login)

    def check(self, caller: Caller, repository_id: int, stage: str | None, right: Right) -> None:
        """Return if the caller has this right to a stage, or to the repository (None).

        Raises `Forbidden`, also where the repository is not there, and `GitHubAway`.
        """
        if caller.login is None:
            raise self._may_not(caller, repository_id, stage, right, "nobody")
        try:
            permission = self._permissions.of(caller.login, repository_id)
        except UnknownRepository:
            raise self._may_not(caller, repository_id, stage, right, "unknown repository") from None
        # Who may only read is not let in either: everybody may read a public repository, and logs are for its authors.
        if permission not in (ADMINISTERING if right is Right.ADMIN else WRITING):
            raise self._may_not(caller, repository_id, stage, right, f"GitHub says {permission}")

    def exchange(self, oidc_token: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a run's token for the OIDC token of a job of GitHub Actions. Raises `NotLoggedIn`."""
        raise self._not_known("not yet")

    def _not_known(self, reason: str, **of: object) -> NotLoggedIn:
        log.warning("caller refused", reason=reason, **of)
        return NotLoggedIn()

    def _may_not(self, caller: Caller, repository_id: int, stage: str | None, right: Right, reason: str) -> Forbidden:
        log.warning(
            "caller refused",
            reason=reason,
            caller=caller.name,
            kind=caller.kind,
            repository_id=repository_id,
            wanted_stage=stage,
            right=right,
        )
        return Forbidden()
