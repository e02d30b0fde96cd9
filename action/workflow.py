"""Which repository, commit and pull request a workflow's run is about, from the environment and the event's payload.

Source: https://docs.github.com/actions/reference/workflows-and-actions/variables and
https://docs.github.com/webhooks/webhook-events-and-payloads. A run for a pull request has the *merge* commit in
`GITHUB_SHA`; what is deployed is the pull request's head.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from action.refusal import Refused

_STAGE = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_LASTING = frozenset({"prod", "production", "staging", "main", "master"})
_QUEUE = "gh-readonly-queue/"
_DIGEST = 6


@dataclass(frozen=True)
class Workflow:
    """A run of a workflow. `event` is the payload; `repository` the full name at `server_url`."""

    repository: str
    repository_id: str
    server_url: str
    api_url: str
    event_name: str
    sha: str
    ref: str
    run_id: str
    workspace: Path
    event: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Workflow:
        """Read what the runner says. Raises `Refused` outside of a workflow."""
        if not environ.get("GITHUB_REPOSITORY") or not environ.get("GITHUB_WORKSPACE"):
            raise Refused("no-workflow", "This is no step of a workflow.", "Use it as an action, by `uses:`.")
        server = environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/")
        return cls(
            repository=environ["GITHUB_REPOSITORY"],
            repository_id=environ.get("GITHUB_REPOSITORY_ID", ""),
            server_url=server,
            api_url=environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/"),
            event_name=environ.get("GITHUB_EVENT_NAME", ""),
            sha=environ.get("GITHUB_SHA", ""),
            ref=environ.get("GITHUB_REF", ""),
            run_id=environ.get("GITHUB_RUN_ID", ""),
            workspace=Path(environ["GITHUB_WORKSPACE"]),
            event=_payload(environ.get("GITHUB_EVENT_PATH", "")),
        )

    @property
    def host(self) -> str:
        """The GitHub host, as the service names it: with a port, where it has one."""
        return urlsplit(self.server_url).netloc.lower()

    @property
    def address(self) -> str:
        """The repository's address, as its remote has it."""
        return f"{urlsplit(self.server_url).hostname}/{self.repository}"

    @property
    def web_url(self) -> str:
        """The repository's page."""
        return f"{self.server_url}/{self.repository}"

    @property
    def run_url(self) -> str:
        """The page of this run."""
        return f"{self.web_url}/actions/runs/{self.run_id}"

    @property
    def pull(self) -> Mapping[str, Any]:
        """The pull request, as the payload has it; empty where the run is about none.

        A run of `workflow_run` names the pull requests of the run before it, but not those of forks. A comment's names
        its pull request by number and state alone.
        """
        pull = self.event.get("pull_request")
        if isinstance(pull, Mapping):
            return pull
        issue = self.event.get("issue")
        if isinstance(issue, Mapping) and "pull_request" in issue:
            return {"number": issue.get("number"), "state": issue.get("state")}
        before = self.event.get("workflow_run")
        pulls = before.get("pull_requests") if isinstance(before, Mapping) else None
        return pulls[0] if isinstance(pulls, list) and pulls and isinstance(pulls[0], Mapping) else {}

    @property
    def pull_number(self) -> int | None:
        """The pull request's number."""
        number = self.pull.get("number")
        return number if isinstance(number, int) else None

    @property
    def closed(self) -> bool:
        """Whether the pull request is closed (labels and reviews come after that, too), or the branch deleted."""
        gone = self.event_name == "delete" or self.event.get("deleted") is True
        return gone or (bool(self.pull) and "closed" in (self.event.get("action"), self.pull.get("state")))

    @property
    def whose_is_unknown(self) -> bool:
        """Whether the run is about a pull request of which the payload says no commit: a comment's."""
        return bool(self.pull) and not isinstance(self.event.get("workflow_run"), Mapping) and "head" not in self.pull

    @property
    def from_fork(self) -> bool:
        """Whether the commit is another repository's."""
        before = self.event.get("workflow_run")
        if isinstance(before, Mapping):
            return bool(_at(before, "head_repository", "id") != _at(self.event, "repository", "id"))
        head, base = (_at(self.pull, end, "repo", "id") for end in ("head", "base"))
        return bool(self.pull) and head != base

    @property
    def commit(self) -> str:
        """The commit that is meant: the head of a pull request or of the run before this one, else the run's own."""
        before = self.event.get("workflow_run")
        found = _at(before, "head_sha") if isinstance(before, Mapping) else _at(self.pull, "head", "sha")
        commit = str(found or self.sha).lower()
        if not _COMMIT.match(commit):
            raise Refused("no-commit", "The event names no commit.", "Run this on pull_request, push or workflow_run.")
        return commit

    def compared_commit(self, stage: str) -> str:
        """The commit that a stage is compared with: of a pull request and another stage than its own the merge that
        GitHub made for this run, as the head alone would take back what its base has got since.
        """
        is_merge = self.event_name == "pull_request" and stage != self.own_stage and _COMMIT.match(self.sha)
        return self.sha if is_merge else self.commit

    @property
    def branch(self) -> str:
        """The branch, where the run is about one of this repository's that stays: a merge queue's are gone at once.

        A run for a branch that was deleted has the default branch in `GITHUB_REF`; the payload has its own.
        """
        before = self.event.get("workflow_run")
        if isinstance(before, Mapping):
            pulls = self.from_fork or str(before.get("event")).startswith("pull_request")
            return "" if pulls else str(before.get("head_branch") or "")
        ref = str(self.event.get("ref") or "") if self.closed and not self.pull else self.ref
        if self.event_name == "delete" and self.event.get("ref_type") == "branch":
            ref = f"refs/heads/{ref}"
        branch = ref[len("refs/heads/") :] if ref.startswith("refs/heads/") else ""
        return "" if branch.startswith(_QUEUE) else branch

    @property
    def own_stage(self) -> str:
        """The stage of the pull request, else that of the branch; empty where the run is about neither."""
        if self.pull_number is not None:
            return f"pr-{self.pull_number}"
        return stage_of_branch(self.branch) if self.branch else ""

    def stage(self, wanted: str) -> str:
        """Return the stage: the one that is wanted, else `pr-<number>`, else that of the branch. Raises `Refused`."""
        if wanted:
            if not _STAGE.match(wanted):
                raise Refused(
                    "invalid-stage-name",
                    f"{wanted!r} cannot name a stage.",
                    "Use at most 40 lower-case letters, digits and hyphens, beginning with a letter.",
                )
            return wanted
        if self.own_stage:
            return self.own_stage
        raise Refused("no-stage", "Nothing says which stage is meant.", "Name it with the input `stage`.")

    def check_own(self, wanted: str) -> None:
        """Raise `Refused` where another stage than that of what is closed is wanted: what deploys to `dev` when a pull
        request was merged must not take `dev` for done, nor take it away.
        """
        if wanted not in ("", self.own_stage):
            raise Refused(
                "closed",
                f"The pull request is closed (or the branch gone), and {wanted} is not its own stage.",
                "Say `command: remove` to remove that; to deploy what was merged, run this on push.",
            )


def stage_of_branch(branch: str) -> str:
    """Return a branch's stage: the rule of `stagedoor.naming.stage_name_for_branch`."""
    slug = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")
    if not slug or not slug[0].isalpha():
        slug = f"b-{slug}".rstrip("-")
    if slug == branch and _STAGE.match(slug) and not re.fullmatch(r"pr-\d+", slug):
        return slug
    return f"{slug[: 40 - _DIGEST - 1].rstrip('-')}-{_digest(branch)}"


def is_lasting(stage: str) -> bool:
    """Whether a stage keeps its data: the rule of `stagedoor.naming.is_lasting`."""
    return stage.split("-", 1)[0] in _LASTING


def app_of(place: str) -> str:
    """Return how an app is called that nothing names: the rule of `stagedoor.naming.app_name`."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", place).strip("-")
    if not name[:1].isalpha():
        name = f"app-{name}"
    return name[:40].strip("-")


def parameter_folder(app: str, repository: str) -> str:
    """Return where a stage's parameters are: the rule of `stagedoor.naming.parameter_folder`."""
    return f"/stagedoor/{app_of(app)}-{_digest(f'{repository}/{app}')}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]


def _at(found: Any, *path: str) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _payload(file: str) -> Mapping[str, Any]:
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
