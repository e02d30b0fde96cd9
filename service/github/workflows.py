"""A repository's workflow runs, and the artifacts that they leave: mode 2 of the Action reaches the service by these.

The token is good for reading Actions of the one repository and nothing else. Sources:
https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-repository and
https://docs.github.com/en/rest/actions/artifacts#download-an-artifact
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from github import Github

from service.github.app_tokens import RETRY, TIMEOUT_SECONDS, AppTokens, Scope
from service.github.auth import InstallationAuth
from service.github.errors import GitHubRefused, GitHubUnavailable, is_missing, translated

PERMISSIONS = {"actions": "read"}
"""What is needed beside the usual, for those apps alone whose assemblies workflows make."""

RUNS = 100
"""How many workflow runs of a commit one call lists."""

PAGES = 10
"""How often it is asked for more: GitHub itself lists 1,000 at most. Anybody can add to them, by pull requests from a
fork that has the commit."""

_CHUNK = 256 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class ArtifactTooLarge(Exception):
    """An artifact of more bytes than were to be taken."""


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """A workflow's run as GitHub has it. `head_repository` is None where the fork that it was for is deleted."""

    id: int
    name: str
    event: str
    head_sha: str
    head_branch: str
    head_repository: int | None
    status: str
    conclusion: str
    url: str


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """A zip file that a workflow left; an expired one is listed and not there any more."""

    id: int
    size: int
    expired: bool


class RepositoryWorkflows:
    """The workflow runs of one repository, through one installation of the App."""

    def __init__(self, tokens: AppTokens, full_name: str, scope: Scope) -> None:
        self._tokens = tokens
        self._scope = scope
        self._path = f"/repos/{full_name}/actions"
        self._github = Github(
            base_url=scope.api_url,
            auth=InstallationAuth(tokens, scope),
            retry=RETRY,
            timeout=TIMEOUT_SECONDS,
            seconds_between_requests=0,
        )

    def of_commit(self, sha: str, branch: str | None) -> tuple[WorkflowRun, ...]:
        """Return this repository's runs for a commit, the newest first; not those of one that has its name by now.

        With a branch only those of pushes to it, which no pull request can add to.
        """
        only = {} if branch is None else {"event": "push", "branch": branch}
        found: list[WorkflowRun] = []
        for page in range(1, PAGES + 1):
            said = self._get("runs", head_sha=sha, per_page=RUNS, page=page, **only) or {}
            runs = said.get("workflow_runs", ())
            found += [_run(each) for each in runs if each["repository"]["id"] == self._scope.repository_id]
            if len(runs) < RUNS:
                break
        return tuple(found)

    def artifact(self, run_id: int, name: str) -> ArtifactFile | None:
        """Return the newest artifact of that name that a run left."""
        said = self._get(f"runs/{run_id}/artifacts", name=name, per_page=RUNS) or {}
        found = [each for each in said.get("artifacts", ()) if each.get("name") == name]
        newest = max(found, key=lambda each: int(each["id"]), default=None)
        return newest and ArtifactFile(int(newest["id"]), int(newest["size_in_bytes"]), bool(newest["expired"]))

    def download(self, artifact_id: int, file: Path, limit: int, check: Callable[[], None]) -> None:
        """Write an artifact's zip into a file, of at most so many bytes; `check` is asked meanwhile and raises to end.

        GitHub answers with the address of a storage, which is given no credential of ours. Raises `ArtifactTooLarge`,
        `GitHubUnavailable`, `GitHubRefused`.
        """
        url = f"{self._scope.api_url}{self._path}/artifacts/{artifact_id}/zip"
        try:
            with requests.Session() as session:
                session.auth = _nothing_added
                token = {"Authorization": f"Bearer {self._tokens.token(self._scope)}"}
                with session.get(url, headers=token, allow_redirects=False, timeout=TIMEOUT_SECONDS) as answer:
                    storage = self._address(answer, url)
                with session.get(storage, allow_redirects=False, stream=True, timeout=TIMEOUT_SECONDS) as answer:
                    if answer.status_code != 200:
                        raise GitHubUnavailable(f"The artifact's storage answered {answer.status_code}")
                    _write(answer, file, limit, check)
        except requests.RequestException as error:
            raise GitHubUnavailable(f"The artifact cannot be fetched: {type(error).__name__}") from error

    def _address(self, answer: requests.Response, url: str) -> str:
        if answer.status_code not in _REDIRECTS or "Location" not in answer.headers:
            if answer.status_code in {404, 410}:
                raise GitHubRefused(answer.status_code, "The artifact is not there any more.")
            raise GitHubUnavailable(f"GitHub answered {answer.status_code} where an artifact's address was asked for")
        address = urljoin(url, answer.headers["Location"])
        if urlsplit(address).scheme not in {"https", urlsplit(self._scope.api_url).scheme}:
            raise GitHubUnavailable("GitHub named an address for the artifact that is not HTTPS")
        return address

    def _get(self, path: str, **query: Any) -> dict[str, Any] | None:
        try:
            with translated():
                _, said = self._github.requester.requestJsonAndCheck("GET", f"{self._path}/{path}?{urlencode(query)}")
        except GitHubRefused as refused:
            if is_missing(refused):
                return None
            raise
        return dict(said)


def _nothing_added(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add no credentials: without this, `requests` would take what a .netrc has for the storage's host."""
    return request


def _write(answer: requests.Response, file: Path, limit: int, check: Callable[[], None]) -> None:
    written = 0
    with file.open("wb") as target:
        for chunk in answer.iter_content(_CHUNK):
            check()
            written += len(chunk)
            if written > limit:
                raise ArtifactTooLarge
            target.write(chunk)


def _run(said: dict[str, Any]) -> WorkflowRun:
    head = said.get("head_repository") or {}
    return WorkflowRun(
        id=int(said["id"]),
        name=str(said.get("name") or ""),
        event=str(said["event"]),
        head_sha=str(said["head_sha"]),
        head_branch=str(said.get("head_branch") or ""),
        head_repository=int(head["id"]) if head.get("id") else None,
        status=str(said["status"]),
        conclusion=str(said.get("conclusion") or ""),
        url=str(said["html_url"]),
    )
