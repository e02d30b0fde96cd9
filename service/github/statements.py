"""What GitHub is told, as data: a comment, a check run, a deployment.

Limits: a comment's body and each text of a check run's output hold 65,535 characters, a deployment status's description
140, a check run takes 50 annotations a request
(https://docs.github.com/en/rest/checks/runs#update-a-check-run, https://docs.github.com/en/rest/deployments/statuses).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

DESCRIPTION_LIMIT = 140


class CheckStatus(StrEnum):
    """How far a check run is."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class Conclusion(StrEnum):
    """How a check run ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"
    CANCELLED = "cancelled"


class DeploymentState(StrEnum):
    """How a deployment is."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Comment:
    """The one comment of a pull request; `marker`, a part of `body`, is what it is found again by."""

    marker: str
    body: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """What a check run says about a line of a file; lines count from 1."""

    path: str
    line: int
    title: str
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """A check run on a commit; `external_id` is what it is found again by."""

    name: str
    head_sha: str
    external_id: str
    details_url: str
    status: CheckStatus
    conclusion: Conclusion | None
    title: str
    summary: str
    text: str = ""
    annotations: tuple[Annotation, ...] = ()
    started_at: datetime | None = None
    completed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment of a commit to an environment and its newest status; `payload` is what it is found again by."""

    ref: str
    environment: str
    payload: Mapping[str, str]
    state: DeploymentState
    description: str
    log_url: str
    environment_url: str = ""


Statement = Comment | Check | Deployment


def is_an_end(statement: Statement) -> bool:
    """Tell whether a statement only ends something, so that there is nothing to say where that does not exist."""
    if isinstance(statement, Deployment):
        return statement.state is DeploymentState.INACTIVE
    return isinstance(statement, Check) and statement.conclusion is Conclusion.CANCELLED


def digest(statement: Statement) -> str:
    """Return a digest of what a statement says: equal ones need not be said again.

    Annotations do not count, as GitHub adds those of an update to those that are there; the summary says the same.
    """
    value: Any = {"kind": type(statement).__name__, **asdict(statement), "annotations": None}
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
