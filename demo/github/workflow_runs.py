"""Runs of workflows, and the artifacts that they leave. The workflows themselves are run by nobody here.

Source of the shapes: https://docs.github.com/en/rest/actions/workflow-runs and
https://docs.github.com/en/rest/actions/artifacts
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from demo.github.deployments import moment
from demo.github.shapes import Commit, Json, Place, node_id

STORAGE = "/_storage/artifacts"
_WORKFLOW = 77


@dataclass(slots=True)
class LocalArtifact:
    """A zip file that a run left; `signature` is in the address at which the storage gives it out."""

    id: int
    name: str
    data: bytes
    expired: bool = False
    signature: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(slots=True)
class WorkflowRun:
    """One run of a workflow; `fork` is the shape of the fork that its pull request comes from."""

    id: int
    head_sha: str
    event: str
    head_branch: str
    name: str
    fork: Json | None = None
    status: str = "in_progress"
    conclusion: str | None = None
    artifacts: dict[int, LocalArtifact] = field(default_factory=dict)

    def leave(self, number: int, name: str, data: bytes) -> None:
        """Have the run leave an artifact."""
        self.artifacts[number] = LocalArtifact(number, name, data)

    def shape(
        self, place: Place, repository: Json, head: Json, actor: Json, commit: Commit, pulls: Sequence[Json]
    ) -> Json:
        """Return the run as the API has it."""
        api = f"{place.url}/repos/{repository['full_name']}"
        url = f"{api}/actions/runs/{self.id}"
        person = {"name": "Mona", "email": "mona@example.com"}
        return {
            "id": self.id,
            "name": self.name,
            "node_id": node_id("WorkflowRun", self.id),
            "check_suite_id": self.id,
            "check_suite_node_id": node_id("CheckSuite", self.id),
            "head_branch": self.head_branch or "topic",
            "head_sha": self.head_sha,
            "path": f".github/workflows/{self.name}.yml",
            "display_title": commit.message,
            "run_number": 1,
            "run_attempt": 1,
            "referenced_workflows": [],
            "event": self.event,
            "status": self.status,
            "conclusion": self.conclusion,
            "workflow_id": _WORKFLOW,
            "url": url,
            "html_url": f"{repository['html_url']}/actions/runs/{self.id}",
            "pull_requests": list(pulls),
            "created_at": moment(),
            "updated_at": moment(),
            "actor": actor,
            "triggering_actor": actor,
            "run_started_at": moment(),
            **{f"{kind}_url": f"{url}/{kind}" for kind in ("jobs", "logs", "artifacts", "cancel", "rerun")},
            "check_suite_url": f"{api}/check-suites/{self.id}",
            "previous_attempt_url": None,
            "workflow_url": f"{api}/actions/workflows/{_WORKFLOW}",
            "head_commit": {
                "id": commit.sha,
                "tree_id": commit.tree,
                "message": commit.message,
                "timestamp": commit.date,
                "author": person,
                "committer": person,
            },
            "repository": repository,
            "head_repository": head,
        }

    def artifact(self, place: Place, full_name: str, artifact: LocalArtifact) -> Json:
        """Return an artifact of the run as the API has it."""
        url = f"{place.url}/repos/{full_name}/actions/artifacts/{artifact.id}"
        return {
            "id": artifact.id,
            "node_id": node_id("Artifact", artifact.id),
            "name": artifact.name,
            "size_in_bytes": len(artifact.data),
            "url": url,
            "archive_download_url": f"{url}/zip",
            "expired": artifact.expired,
            "digest": f"sha256:{hashlib.sha256(artifact.data).hexdigest()}",
            "created_at": moment(),
            "expires_at": moment(),
            "updated_at": moment(),
            "workflow_run": {"id": self.id, "head_branch": self.head_branch, "head_sha": self.head_sha},
        }
