"""What views need beyond the service's parts, made once a process; and whether a caller may."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from flask import current_app

from service.access.callers import Caller, Callers, Right
from service.access.errors import UnknownPlan, UnknownRepository, UnknownRun, UnknownStage
from service.access.login import DeviceFlow
from service.access.permission import Permissions
from service.access.tokens import StageToken, Tokens
from service.api.asking import Asking
from service.api.limits import Limit
from service.api.own_stages import SeveralRepositories, repository_at
from service.console.access import Headers, is_from_here
from service.github.client import GitHubClients
from service.models import PlanRow, Run, Stage
from service.parts import Parts

EXTENSION = "stagedoor.api"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may what, and how often. Safe to share between threads.

    Each step of a login is a call to GitHub in the App's name, and GitHub has each login polled twelve times a minute.
    """

    parts: Parts
    tokens: Tokens
    flow: DeviceFlow
    callers: Callers
    logins: Limit
    polls: Limit
    exchanges: Limit

    @classmethod
    def of(cls, parts: Parts) -> "Access":
        """Return it for a service with these parts."""
        return cls(
            parts,
            Tokens.of(parts.settings),
            DeviceFlow(parts.settings),
            Callers.of(parts),
            logins=Limit(each=5, all=30),
            polls=Limit(each=100, all=600),
            exchanges=Limit(each=60),
        )

    def caller(self, headers: Headers) -> Caller:
        """Return who sent a request with these headers. Raises `NotLoggedIn`."""
        return self.callers.identify(headers.get("Authorization"), from_here=is_from_here(headers))

    def let_into_stage(self, caller: Caller, stage_id: int, right: Right, commit: str | None = None) -> None:
        """Return if there is such a stage and the caller has this right to it; `commit` as in `Callers.check`.

        Raises `UnknownStage` and what `Callers.check` raises. Not to be called in a transaction: GitHub may take its
        time.
        """
        with self.parts.sessions() as session:
            stage = session.get(Stage, stage_id)
            found = None if stage is None else (stage.app.repository_id, stage.name)
        if found is None:
            raise UnknownStage(str(stage_id))
        self.callers.check(caller, found[0], found[1], right, commit=commit)

    def let_into_run(self, caller: Caller, run_id: int, right: Right) -> int:
        """Return the stage of a run if the caller has this right to it. Raises `UnknownRun` and what `Callers.check`
        raises.
        """
        with self.parts.sessions() as session:
            run = session.get(Run, run_id)
            found = None if run is None else (run.stage.app.repository_id, run.stage.name, run.stage_id)
        if found is None:
            raise UnknownRun(run_id)
        self.callers.check(caller, found[0], found[1], right)
        return found[2]

    def let_into_plan(self, caller: Caller, plan_id: int, right: Right) -> int:
        """Return the stage of a plan if the caller has this right to it; a run may read the plans that it asked for.
        Raises `UnknownPlan` and what `Callers.check` raises.
        """
        with self.parts.sessions() as session:
            plan = session.get(PlanRow, plan_id)
            if plan is None:
                raise UnknownPlan(plan_id)
            stage, actor = plan.stage, plan.actor
            repository_id = stage.app.repository_id
        if caller.run is not None and caller.name == actor:
            right = Right.PLAN
        self.callers.check(caller, repository_id, stage.name, right)
        return stage.id

    def let_into_repository(
        self,
        caller: Caller,
        address: str,
        stage: str | None,
        right: Right,
        commit: str | None = None,
        *,
        take_in: bool = False,
    ) -> int:
        """Return the id of the repository at an address if the caller has this right to its stage, or to it (None).
        With `take_in` one that no GitHub told of is taken in, where the service is on loopback, and the caller, too.

        Raises what `Callers.check` raises: who is not let in learns of no repository whether it is there.
        """
        is_local = self.parts.settings.on_loopback and caller.from_here
        try:
            with self.parts.sessions.begin() as session:
                found = repository_at(session, address, on_loopback=is_local, take_in=take_in).id
        except SeveralRepositories:
            raise self.callers.unknown(caller, address, "several repositories of this name") from None
        except UnknownRepository:
            raise self.callers.unknown(caller, address) from None
        self.callers.check(caller, found, stage, right, commit=commit)
        return found


def current_access() -> Access:
    """Return that of the Flask application that is answering now."""
    access: Access = current_app.extensions[EXTENSION]
    return access


def still_permitted(parts: Parts) -> Callable[[StageToken], Awaitable[bool]]:
    """Return what the relay asks before it renews an agent's token."""
    permissions = Permissions(parts.settings, parts.sessions, GitHubClients(parts.settings))
    asking = Asking()

    async def may(claims: StageToken) -> bool:
        return await asking(permissions.may_use, claims)

    return may
