"""Which commit and stage a workflow's run is about, by its event."""

import json
from pathlib import Path
from typing import Any

import pytest

from action.refusal import Refused
from action.workflow import Workflow
from tests.action.conftest import COMMIT, HOSTILE_BRANCH, MERGE, pull_request

REPOSITORY = {"id": 4242}
BEFORE = {"head_sha": COMMIT, "head_branch": "fix", "head_repository": {"id": 4242}, "pull_requests": []}


def workflow(tmp_path: Path, event: dict[str, Any], name: str, ref: str, api: str = "") -> Workflow:
    (tmp_path / "event.json").write_text(json.dumps({"repository": REPOSITORY, **event}))
    return Workflow.of(
        {
            "GITHUB_REPOSITORY": "acme/notes",
            "GITHUB_REPOSITORY_ID": "4242",
            "GITHUB_SERVER_URL": "https://ghe.example.com:8443",
            "GITHUB_API_URL": api,
            "GITHUB_WORKSPACE": str(tmp_path),
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
            "GITHUB_SHA": MERGE,
            "GITHUB_REF": ref,
            "GITHUB_RUN_ID": "99",
        }
    )


@pytest.mark.parametrize(
    ("event", "name", "ref", "commit", "stage"),
    [
        (pull_request(), "pull_request", "refs/pull/7/merge", COMMIT, "pr-7"),
        ({}, "push", "refs/heads/main", MERGE, "main"),
        ({}, "workflow_dispatch", "refs/heads/fix", MERGE, "fix"),
        ({"workflow_run": BEFORE}, "workflow_run", "refs/heads/main", COMMIT, "fix"),
        (
            {"workflow_run": {**BEFORE, "pull_requests": [{"number": 8}]}},
            "workflow_run",
            "refs/heads/main",
            COMMIT,
            "pr-8",
        ),
    ],
)
def test_commit_and_stage(tmp_path: Path, event: dict[str, Any], name: str, ref: str, commit: str, stage: str):
    found = workflow(tmp_path, event, name, ref)
    assert (found.commit, found.stage("")) == (commit, stage)
    assert found.stage("prod") == "prod"
    assert found.compared_commit(stage) == commit
    assert found.compared_commit("prod") == (MERGE if name == "pull_request" else commit)
    assert not found.from_fork
    assert found.address == "ghe.example.com/acme/notes"
    assert found.host == "ghe.example.com:8443"
    assert found.run_url == "https://ghe.example.com:8443/acme/notes/actions/runs/99"


@pytest.mark.parametrize(
    "event",
    [
        pull_request(head=COMMIT) | {"pull_request": {"number": 7, "head": {"sha": COMMIT, "repo": {"id": 1}}}},
        {"pull_request": {"number": 7, "head": {"sha": COMMIT, "repo": None}, "base": {"repo": REPOSITORY}}},
        {"workflow_run": {**BEFORE, "head_repository": {"id": 1}}},
    ],
)
def test_a_forks_commit_is_known_for_one(tmp_path: Path, event: dict[str, Any]):
    assert workflow(tmp_path, event, "pull_request", "refs/pull/7/merge").from_fork


def test_a_tag_names_no_stage(tmp_path: Path):
    with pytest.raises(Refused) as refused:
        workflow(tmp_path, {}, "push", "refs/tags/v1").stage("")
    assert refused.value.id == "no-stage"


def test_a_branch_of_any_name_has_a_stage(tmp_path: Path):
    stage = workflow(tmp_path, {}, "push", f"refs/heads/{HOSTILE_BRANCH}").stage("")
    assert stage.replace("-", "").isalnum()


def test_a_payload_that_is_none_is_no_pull_request(tmp_path: Path):
    found = workflow(tmp_path, {"pull_request": "x", "workflow_run": 7, "action": "closed"}, "push", "refs/heads/main")
    assert (found.pull_number, found.closed, found.commit) == (None, False, MERGE)
