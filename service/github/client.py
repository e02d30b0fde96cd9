"""A repository on GitHub: what it is asked, what it is told.

It is asked by its name, and known by its number: after a rename somebody else may have the name, and any token reads
what is public. So what is asked of another repository's than ours is `InstallationGone`, whatever it says.

Every method makes as few calls as it can, waits for each at most `TIMEOUT_SECONDS`, and raises nothing but
`GitHubUnavailable`, `InstallationGone` and `GitHubRefused` (see `service.github.errors`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from github import Github
from github.GithubApp import GithubApp
from github.PullRequest import PullRequest
from github.Repository import Repository as GitHubRepository

from service import models
from service.github.app_tokens import RETRY, TIMEOUT_SECONDS, AppTokens, Scope
from service.github.auth import InstallationAuth
from service.github.errors import (
    CredentialsRefused,
    GitHubRefused,
    GitHubUnavailable,
    InstallationGone,
    is_missing,
    translated,
)
from service.github.statements import Check, Comment, Deployment
from service.github.workflows import PERMISSIONS as WORKFLOW_PERMISSIONS
from service.github.workflows import RepositoryWorkflows
from service.settings import Settings

__all__ = ["BranchState", "GitHubClients", "GitHubUnavailable", "InstallationGone", "PullState", "RepositoryClient"]

T = TypeVar("T")

PERMISSIONS = {"checks": "write", "contents": "read", "deployments": "write", "pull_requests": "write"}
"""What its tokens carry when it asks or tells something; docs/github.md has all that the App asks for."""

FETCH_PERMISSIONS = {"contents": "read"}
SECONDS_BETWEEN_WRITES = 0.1
CHANGED_PATHS_LIMIT = 3000
"""GitHub lists at most this many files of a pull request."""


@dataclass(frozen=True, slots=True)
class PullState:
    """A pull request as it is now. `head_repository_id` is None when the fork that it came from was deleted."""

    number: int
    title: str
    open: bool
    merged: bool
    draft: bool
    labels: tuple[str, ...]
    head_sha: str
    head_ref: str
    head_repository_id: int | None
    base_ref: str
    base_sha: str
    author: str


@dataclass(frozen=True, slots=True)
class OpenPull:
    """A pull request in the list of those that are open."""

    number: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BranchState:
    """A branch as it is now."""

    name: str
    sha: str


@dataclass(frozen=True, slots=True)
class Permission:
    """What a person may do with a repository: `admin`, `write`, `read` or `none`; `user_id` is GitHub's number."""

    user_id: int
    permission: str


class RepositoryClient:
    """One repository, through one installation of the App."""

    def __init__(self, tokens: AppTokens, app_id: int, full_name: str, scope: Scope, fetch_scope: Scope) -> None:
        self._tokens = tokens
        self._app_id = app_id
        self._scope = scope
        self._fetch_scope = fetch_scope
        self._full_name = full_name
        github = Github(
            base_url=scope.api_url,
            auth=InstallationAuth(tokens, scope),
            retry=RETRY,
            timeout=TIMEOUT_SECONDS,
            lazy=True,
            seconds_between_requests=0,
            seconds_between_writes=SECONDS_BETWEEN_WRITES,
            per_page=100,
        )
        self._repository: GitHubRepository = github.get_repo(full_name)

    # --- Asked ---

    def pull(self, number: int) -> PullState | None:
        """Return a pull request, or None when there is none of that number."""

        def question() -> PullState:
            pull = self._repository.get_pull(number)
            self._check_is_ours(pull.base.repo.id)
            return _pull_state(pull)

        found = self._ask(question)
        if found is None:
            self._check_repository()
        return found

    def open_pulls(self) -> tuple[OpenPull, ...]:
        """Return the pull requests that are open, a hundred a call."""
        opened = self._ask(lambda: [*self._repository.get_pulls(state="open")]) or []
        for pull in opened:
            self._check_is_ours(pull.base.repo.id)
        return tuple(OpenPull(pull.number, pull.created_at) for pull in opened)

    def branch(self, name: str) -> BranchState | None:
        """Return a branch, or None when there is none of that name."""
        self._check_repository()
        branch = self._ask(lambda: self._repository.get_branch(name))
        # A branch that was renamed is answered by a redirect, under its new name.
        return BranchState(branch.name, branch.commit.sha) if branch and branch.name == name else None

    def file(self, path: str, ref: str) -> bytes | None:
        """Return a file as it is at a commit or branch, or None when there is no such file.

        GitHub does not send the bytes of one of more than 1 MB
        (https://docs.github.com/en/rest/repos/contents#get-repository-content); as many zeros stand for them.
        """
        found = self._ask(lambda: self._repository.get_contents(path, ref))
        if found is None or isinstance(found, list) or found.type != "file":
            return None
        return found.decoded_content if found.encoding == "base64" else bytes(found.size)

    def changed_paths(self, number: int) -> tuple[str, ...] | None:
        """Return the paths that a pull request changes, old names of moved files too; None when they are too many."""
        files = self._ask(lambda: list(self._repository.get_pull(number).get_files())) or []
        if len(files) >= CHANGED_PATHS_LIMIT:
            return None
        return tuple(sorted({path for file in files for path in (file.filename, file.previous_filename) if path}))

    def permission(self, login: str) -> Permission | None:
        """Return what a person may do with the repository; None for somebody whom GitHub does not know."""

        def question() -> Permission:
            path = f"{self._repository.url}/collaborators/{quote(login, safe='')}/permission"
            _, said = self._repository.requester.requestJsonAndCheck("GET", path)
            return Permission(int(said["user"]["id"]), str(said["permission"]))

        return self._ask(question)

    def owner_id(self) -> int | None:
        """Return GitHub's number of whoever the repository belongs to now; None when it is not there."""
        self._check_repository()
        return self._ask(lambda: self._repository.owner.id)

    def fetch_token(self) -> str:
        """Return a token that can read the contents of this one repository and nothing else."""
        return self._tokens.token(self._fetch_scope)

    # --- Told: comments ---

    def create_comment(self, number: int, comment: Comment) -> int:
        """Write a comment on a pull request and return its id."""
        with self._translated():
            return self._repository.get_issue(number).create_comment(comment.body).id

    def update_comment(self, number: int, comment_id: int, comment: Comment) -> bool:
        """Replace a comment's body; False when it was deleted."""
        return self._change(lambda: self._repository.get_issue(number).get_comment(comment_id).edit(comment.body))

    def find_comment(self, number: int, marker: str) -> int | None:
        """Return the App's own comment that bears the marker. Somebody else's does not count, whatever it says."""

        def search() -> int | None:
            for each in self._repository.get_issue(number).get_comments():
                if marker in (each.body or "") and _is_app(each.performed_via_github_app, self._app_id):
                    return each.id
            return None

        return self._ask(search)

    # --- Told: check runs ---

    def create_check(self, check: Check) -> int:
        """Make a check run and return its id."""
        with self._translated():
            return self._repository.create_check_run(check.name, check.head_sha, **_check_fields(check)).id

    def update_check(self, check_id: int, check: Check) -> bool:
        """Change a check run; False when it is not there."""
        return self._change(lambda: self._repository.get_check_run(check_id).edit(**_check_fields(check)))

    def find_check(self, check: Check) -> int | None:
        """Return the App's check run with the name, commit and external id of `check`."""

        def search() -> int | None:
            runs = self._repository.get_commit(check.head_sha).get_check_runs(check_name=check.name, filter="all")
            return next(
                (run.id for run in runs if run.external_id == check.external_id and _is_app(run.app, self._app_id)),
                None,
            )

        return self._ask(search)

    # --- Told: deployments ---

    def create_deployment(self, deployment: Deployment) -> int:
        """Make a deployment, without a status yet, and return its id."""
        with self._translated():
            made = self._repository.create_deployment(
                ref=deployment.ref,
                environment=deployment.environment,
                payload=dict(deployment.payload),
                # Both would keep GitHub from making it: our own check run has not succeeded yet, and the branch may be
                # behind its base.
                auto_merge=False,
                required_contexts=[],
                transient_environment=True,
                production_environment=False,
            )
            return made.id

    def find_deployment(self, deployment: Deployment) -> int | None:
        """Return the deployment of the same commit, environment and payload."""

        def search() -> int | None:
            found = self._repository.get_deployments(sha=deployment.ref, environment=deployment.environment)
            return next((each.id for each in found if each.payload == dict(deployment.payload)), None)

        return self._ask(search)

    def set_deployment_status(self, deployment_id: int, deployment: Deployment) -> bool:
        """Say how a deployment is; False when it is not there."""
        url = {"environment_url": deployment.environment_url} if deployment.environment_url else {}
        return self._change(
            lambda: self._repository.get_deployment(deployment_id).create_status(
                deployment.state.value,
                target_url=deployment.log_url,
                description=deployment.description,
                environment=deployment.environment,
                # All pull requests share one environment: one's success must not end the others.
                auto_inactive=False,
                **url,
            )
        )

    # --- Which repository it is ---

    def _check_repository(self) -> None:
        """Raise `InstallationGone` where another repository has the name; one that is not there is no other."""
        found = self._ask(lambda: self._repository.id)
        if found is not None:
            self._check_is_ours(found)

    def _check_is_ours(self, repository_id: int) -> None:
        if repository_id != self._scope.repository_id:
            raise InstallationGone(f"{self._full_name} is the name of another repository by now.")

    # --- Errors ---

    def _ask(self, question: Callable[[], T]) -> T | None:
        try:
            with self._translated():
                return question()
        except GitHubRefused as error:
            if is_missing(error):
                return None
            raise

    def _change(self, change: Callable[[], object]) -> bool:
        def changed() -> bool:
            change()
            return True

        return bool(self._ask(changed))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with translated():
                yield
        except CredentialsRefused:
            self._tokens.forget(self._scope)
            # Asking anew says whether the installation is gone (`InstallationGone`) or only this token was.
            self._tokens.token(self._scope)
            raise


class GitHubClients:
    """Makes clients of repositories; holds the tokens that they share. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self.app_id = settings.github_app_id
        self._tokens = AppTokens(settings.github_app_id, settings.private_key)

    def for_repository(self, repository: models.Repository) -> RepositoryClient:
        """Return a client for a repository whose `host` and `installation` can be read.

        Raises `InstallationGone` when the App is not installed there any more.
        """
        installation = repository.installation
        if installation is None or installation.removed_at or installation.suspended_at or repository.removed_at:
            raise InstallationGone(f"The App is not installed on {repository.full_name}, or was suspended there.")
        return self.despite_webhooks(repository)

    def workflows_of(self, repository: models.Repository) -> RepositoryWorkflows:
        """Return what a repository's workflows did. Raises `InstallationGone` as `for_repository` does, and when it is
        used where the App may not read Actions.
        """
        self.for_repository(repository)
        installation = repository.installation
        if installation is None:
            raise InstallationGone(f"The App is not installed on {repository.full_name}.")
        where = (repository.host.api_url, installation.github_id, repository.github_id)
        return RepositoryWorkflows(self._tokens, repository.full_name, Scope.of(*where, WORKFLOW_PERMISSIONS))

    def despite_webhooks(self, repository: models.Repository) -> RepositoryClient:
        """Return a client that asks even where a webhook said that the App was removed or suspended."""
        installation = repository.installation
        if installation is None:
            raise InstallationGone(f"No installation of the App on {repository.full_name} is known.")
        where = (repository.host.api_url, installation.github_id, repository.github_id)
        return RepositoryClient(
            self._tokens,
            self.app_id,
            repository.full_name,
            Scope.of(*where, PERMISSIONS),
            Scope.of(*where, FETCH_PERMISSIONS),
        )


def _is_app(app: GithubApp | None, app_id: int) -> bool:
    return app is not None and app.id == app_id


def _pull_state(pull: PullRequest) -> PullState:
    head_repository = pull.head.repo
    return PullState(
        number=pull.number,
        title=pull.title,
        open=pull.state == "open",
        merged=pull.merged,
        draft=pull.draft,
        labels=tuple(label.name for label in pull.labels),
        head_sha=pull.head.sha,
        head_ref=pull.head.ref,
        head_repository_id=head_repository.id if head_repository else None,
        base_ref=pull.base.ref,
        base_sha=pull.base.sha,
        author=pull.user.login,
    )


def _check_fields(check: Check) -> dict[str, Any]:
    output: dict[str, Any] = {"title": check.title, "summary": check.summary}
    if check.text:
        output["text"] = check.text
    if check.annotations:
        output["annotations"] = [
            {
                "path": each.path,
                "start_line": each.line,
                "end_line": each.line,
                "annotation_level": "failure",
                "title": each.title,
                "message": each.message,
            }
            for each in check.annotations
        ]
    fields: dict[str, Any] = {
        "external_id": check.external_id,
        "details_url": check.details_url,
        "status": check.status.value,
        "output": output,
    }
    optional = {"started_at": check.started_at, "completed_at": check.completed_at}
    if check.conclusion:
        optional["conclusion"] = check.conclusion.value  # type: ignore[assignment]
    return fields | {name: value for name, value in optional.items() if value is not None}
