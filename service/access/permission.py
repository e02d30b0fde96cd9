"""Whether somebody may write to a repository, as GitHub says it, remembered for a minute.

Source: https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
"""

import time
from collections.abc import Callable
from threading import Lock

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from service.access.errors import GitHubAway, NoWritePermission, UnknownRepository
from service.access.tokens import LoginToken, StageToken
from service.database import Sessions
from service.github.client import GitHubClients
from service.github.errors import GitHubRefused, GitHubUnavailable, InstallationGone
from service.models import App, Repository, Stage
from service.settings import Settings

REMEMBERED_SECONDS = 60.0
LOCAL_HOST = "local"
"""The host of repositories that no GitHub knows; only a service on loopback has any."""

_MOST = 10_000
_NONE = "none"
WRITING = frozenset({"admin", "maintain", "write"})
ADMINISTERING = frozenset({"admin"})


class Permissions:
    """Asks GitHub with the token of the App's installation. Safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        github: GitHubClients,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._github = github
        self._clock = clock
        self._known: dict[tuple[int, LoginToken], tuple[str, float]] = {}
        self._lock = Lock()

    def check(self, who: LoginToken, repository_id: int, *, from_here: bool = False) -> None:
        """Return if this person may write to the repository; `from_here` as in `of`. Raises `NoWritePermission`,
        `UnknownRepository` and `GitHubAway`.
        """
        repository = self._repository(repository_id)
        if self._permission(who, repository, from_here) not in WRITING:
            raise NoWritePermission(who.login, repository.full_name)

    def of(self, who: LoginToken, repository_id: int, *, from_here: bool = False) -> str:
        """Return what this person may do: `admin`, `write`, `read` or `none`. `from_here`: they ask on this machine,
        whose users a service on loopback lets into the repositories that no GitHub knows.

        Raises `UnknownRepository` and `GitHubAway`.
        """
        return self._permission(who, self._repository(repository_id), from_here)

    def may_use(self, claims: StageToken) -> bool:
        """Tell whether whoever holds a stage's token still may use the stage. While GitHub is away, they may. The token
        of a stage that no GitHub knows was given to somebody on this machine.
        """
        with self._sessions() as session:
            repository_id = session.scalar(
                select(App.repository_id).join(Stage, Stage.app_id == App.id).where(Stage.id == claims.stage_id)
            )
        if repository_id is None:
            return False
        try:
            self.check(LoginToken(claims.developer, claims.user_id, claims.host), repository_id, from_here=True)
        except GitHubAway:
            return True
        except (NoWritePermission, UnknownRepository):
            return False
        return True

    def _permission(self, who: LoginToken, repository: Repository, from_here: bool) -> str:
        if repository.host.name == LOCAL_HOST:
            # Through a tunnel to a service on loopback comes whoever has a GitHub account.
            return "admin" if self._settings.on_loopback and from_here else _NONE
        key = (repository.id, who)
        with self._lock:
            known = self._known.get(key)
        if known is None or known[1] <= self._clock():
            said = self._ask(who, repository)
            with self._lock:
                if len(self._known) >= _MOST:
                    self._known.clear()
                known = self._known[key] = (said, self._clock() + REMEMBERED_SECONDS)
        return known[0]

    def _repository(self, repository_id: int) -> Repository:
        with self._sessions() as session:
            found = session.get(
                Repository,
                repository_id,
                options=[joinedload(Repository.host), joinedload(Repository.installation)],
            )
        if found is None:
            raise UnknownRepository(str(repository_id))
        return found

    def _ask(self, who: LoginToken, repository: Repository) -> str:
        if who.host != repository.host.name:
            return _NONE
        try:
            said = self._github.for_repository(repository).permission(who.login)
        except InstallationGone:
            raise UnknownRepository(repository.full_name) from None
        except (GitHubUnavailable, GitHubRefused):
            raise GitHubAway from None
        # A login that was given up may be somebody else's by now; the number stays.
        return said.permission if said is not None and said.user_id == who.user_id else _NONE
