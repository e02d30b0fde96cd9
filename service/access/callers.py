"""Who calls, and what they may do: people, runs of GitHub Actions, and machines.

Every refusal is written to the log with its reason and answered without it: one text for whoever is not known, one for
whoever may not. docs/callers.md says what is asked of each kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from service.access import machine_tokens
from service.access.errors import Forbidden, NotLoggedIn, Refused, UnknownRepository
from service.access.oidc import MOST_BYTES, JobTokens
from service.access.permission import ADMINISTERING, WRITING, Permissions
from service.access.reach import Right, StageFacts, machine_refused, pull_number, run_refused
from service.access.runs import Runs
from service.access.tokens import LoginToken, RunToken, TokenInvalid, Tokens
from service.github.client import GitHubClients
from service.models import App, Intent, MachineToken, Repository, Source, Stage
from service.parts import Parts

__all__ = ["Caller", "CallerKind", "Callers", "Right"]

log = structlog.get_logger(__name__)


class CallerKind(StrEnum):
    """Who there is to call."""

    PERSON = "person"
    ACTIONS = "actions"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who is known. `name` is what the audit calls them: `octocat`, `actions:acme/notes#123`, `token:nightly`.

    `who` is what they have proven: a person's login, a run's token, the row of a machine's token. `from_here`: they
    called on this machine, not through a tunnel to it.
    """

    kind: CallerKind
    name: str
    who: LoginToken | RunToken | MachineToken
    from_here: bool = False

    @property
    def login(self) -> LoginToken | None:
        """Return the login of a person."""
        return self.who if isinstance(self.who, LoginToken) else None

    @property
    def run(self) -> RunToken | None:
        """Return what is known of a workflow's run."""
        return self.who if isinstance(self.who, RunToken) else None

    @property
    def of_pull_request(self) -> bool:
        """Tell whether the code of a pull request that nobody has merged may be calling."""
        return self.run is not None and pull_number(self.run.ref) is not None

    @property
    def repository_id(self) -> int | None:
        """Return the one repository that a run or a machine may speak of."""
        return None if isinstance(self.who, LoginToken) else self.who.repository_id


class Callers:
    """Tells who calls and whether they may. Safe to share between threads; to be made once a process."""

    def __init__(self, parts: Parts, tokens: Tokens, permissions: Permissions, runs: Runs) -> None:
        self._parts = parts
        self._tokens = tokens
        self._permissions = permissions
        self._runs = runs

    @classmethod
    def of(cls, parts: Parts) -> "Callers":
        """Return it for a service with these parts. Raises `SettingsInvalid`."""
        github = GitHubClients(parts.settings)
        permissions = Permissions(parts.settings, parts.sessions, github)
        runs = Runs(parts, JobTokens.of(parts.settings), github)
        return cls(parts, Tokens.of(parts.settings), permissions, runs)

    def identify(self, authorization: str | None, *, from_here: bool = False) -> Caller:
        """Return whoever an Authorization header stands for; `from_here` as in `Caller`. Raises `NotLoggedIn`."""
        try:
            return replace(self._identified(authorization or ""), from_here=from_here)
        except Refused as refused:
            raise _not_known(refused) from None

    def check(
        self, caller: Caller, repository_id: int, stage: str | None, right: Right, *, commit: str | None = None
    ) -> None:
        """Return if the caller has this right to a stage, or to the repository as a whole (None).

        `commit` is what is to be deployed: a branch's run deploys its own only. Raises `Forbidden`, also where the
        repository is not there, and `GitHubAway`.
        """
        if reason := self._reason(caller, repository_id, stage, right, commit):
            raise _may_not(caller, reason, repository_id=repository_id, wanted_stage=stage, right=right.value)

    def may(self, caller: Caller, repository_id: int, stage: str | None, right: Right) -> bool:
        """Tell what `check` would say, where to be told no is nothing unusual: in a list. Raises `GitHubAway`."""
        return not self._reason(caller, repository_id, stage, right, None)

    def unknown(self, caller: Caller, address: str, reason: str = "unknown repository") -> Forbidden:
        """Return what to raise for a repository that is not there: nobody is told that it is not."""
        return _may_not(caller, reason, address=address[:255])

    def exchange(self, oidc_token: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a run's token for the OIDC token of a job of GitHub Actions, which is used up by it.

        `request["command"]` is what the job wants to do (`deploy`, `remove`; else it only reads), `request["address"]`
        where it asks from, for the log. The answer:
        `token`, `expires_in`, `repository` (`github.com/acme/notes`), `rights`, and `stage` where it is one and no
        other. Raises `NotLoggedIn` and `GitHubAway`.
        """
        try:
            known = self._runs.known(oidc_token, str(request.get("command", "")))
        except Refused as refused:
            refused.facts["address"] = request.get("address")
            raise _not_known(refused) from None
        claims = known.claims
        log.info("run let in", repository=known.repository, run_id=claims.run_id, ref=claims.ref, rights=claims.rights)
        said = {
            "token": self._tokens.mint(claims),
            "expires_in": claims.seconds,
            "repository": known.repository,
            "rights": claims.rights.split(),
        }
        return {**said, "stage": claims.stage} if claims.stage and "*" not in claims.stage else said

    def _identified(self, authorization: str) -> Caller:
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Refused("no bearer token")
        if len(token) > MOST_BYTES:
            raise Refused("token too long")
        if token.startswith(machine_tokens.PREFIX):
            return self._machine(token)
        try:
            login = self._tokens.verify(token, LoginToken)
            return Caller(CallerKind.PERSON, login.login, login)
        except TokenInvalid:
            pass
        try:
            run = self._tokens.verify(token, RunToken)
        except TokenInvalid:
            raise Refused("no token of ours, or over") from None
        with self._parts.sessions() as session:
            repository = session.get(Repository, run.repository_id)
        if repository is None:
            raise Refused("unknown repository", repository_id=run.repository_id)
        return Caller(CallerKind.ACTIONS, f"actions:{repository.full_name}#{run.run_id}", run)

    def _machine(self, secret: str) -> Caller:
        if not machine_tokens.is_well_formed(secret):
            raise Refused("malformed machine token")
        with self._parts.sessions.begin() as session:
            row = machine_tokens.find(session, secret)
        if row is None:
            raise Refused("machine token unknown, revoked or over", hint=secret[: machine_tokens.HINT_LENGTH])
        return Caller(CallerKind.MACHINE, f"token:{row.name}", row)

    def _reason(self, caller: Caller, repository_id: int, stage: str | None, right: Right, commit: str | None) -> str:
        """Return why the caller may not, or "" if they may."""
        if isinstance(caller.who, LoginToken):
            return self._of_person(caller, caller.who, repository_id, right)
        if caller.who.repository_id != repository_id:
            return "another repository"
        with self._parts.sessions() as session:
            if not _is_installed(session, repository_id):
                return "the App is not installed there"
            facts = _facts(session, repository_id, stage) if stage else ()
        if isinstance(caller.who, RunToken):
            return run_refused(caller.who, stage, facts, right, commit)
        return machine_refused(caller.who.stage, caller.who.rights, stage, facts, right)

    def _of_person(self, caller: Caller, who: LoginToken, repository_id: int, right: Right) -> str:
        try:
            permission = self._permissions.of(who, repository_id, from_here=caller.from_here)
        except UnknownRepository:
            return "unknown repository"
        # Who may only read is not let in either: everybody may read a public repository, and logs are for its authors.
        return "" if permission in (ADMINISTERING if right is Right.ADMIN else WRITING) else f"GitHub says {permission}"


def _not_known(refused: Refused) -> NotLoggedIn:
    log.warning("caller refused", reason=refused.reason, **refused.facts)
    return NotLoggedIn()


def _may_not(caller: Caller, reason: str, **facts: object) -> Forbidden:
    log.warning("caller refused", reason=reason, caller=caller.name, kind=caller.kind.value, **facts)
    return Forbidden()


def _is_installed(session: Session, repository_id: int) -> bool:
    row = session.get(Repository, repository_id, options=[joinedload(Repository.installation)])
    if row is None or row.removed_at is not None:
        return False
    through = row.installation
    return through is not None and through.removed_at is None and through.suspended_at is None


def _facts(session: Session, repository_id: int, stage: str) -> tuple[StageFacts, ...]:
    rows = session.execute(
        select(Stage.kind, Stage.environment, Source.kind, Source.ref, Intent.settings)
        .join(App, Stage.app_id == App.id)
        .outerjoin(Source, Stage.source_id == Source.id)
        .outerjoin(Intent, (Intent.stage_id == Stage.id) & (Intent.generation == Stage.wanted_generation))
        .where(App.repository_id == repository_id, Stage.name == stage)
    )
    return tuple(
        StageFacts(kind, environment, source, ref or "", (settings or {}).get("pull_requests") == "diff")
        for kind, environment, source, ref, settings in rows
    )
