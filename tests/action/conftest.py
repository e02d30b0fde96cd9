"""Jobs on the small runner, about a pull request of a repository."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.action.job import Job
from tests.action.stand_ins import STAND_INS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MERGE = "fedcba9876543210fedcba9876543210fedcba98"
HOSTILE_TITLE = "$(touch pwned) `touch pwned` ${{ github.token }}\n::set-output name=url::https://evil.test\n'; \"<b>"
HOSTILE_BRANCH = "x$(touch${IFS}pwned);`touch${IFS}pwned`::add-mask::a##[add-mask]b"


def pull_request(number: int = 7, action: str = "synchronize", head: str = COMMIT, **more: Any) -> dict[str, Any]:
    """An event's payload as GitHub sends it, whose texts are as hostile as anybody's may be."""
    repository = {"id": 4242, "full_name": "acme/notes"}
    pull = {
        "number": number,
        "title": HOSTILE_TITLE,
        "body": HOSTILE_TITLE,
        "head": {"sha": head, "ref": HOSTILE_BRANCH, "repo": repository},
        "base": {"sha": MERGE, "ref": "main", "repo": repository},
    }
    return {"action": action, "number": number, "pull_request": {**pull, **more}, "repository": repository}


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Job]:
    def make(event: Mapping[str, Any] | None = None, name: str = "pull_request", **more: Any) -> Job:
        github = {
            "event_name": name,
            "repository": "acme/notes",
            "repository_id": 4242,
            "repository_owner": "acme",
            "server_url": "https://github.com",
            "api_url": "https://api.github.com",
            "sha": MERGE,
            "ref": "refs/pull/7/merge",
            "head_ref": HOSTILE_BRANCH,
            "run_id": "99",
            "run_attempt": "1",
            "token": "ghs_the_jobs_own_token",
            **more.pop("github", {}),
        }
        folder = tmp_path / f"job-{len(list(tmp_path.glob('job-*')))}"
        return Job(folder, github, pull_request() if event is None else event, stand_ins=STAND_INS, **more)

    return make
