"""Events that are not about the branch in `GITHUB_REF`: GitHub gives their runs the default branch, or one that goes.

Source: https://docs.github.com/actions/reference/workflows-and-actions/events-that-trigger-workflows.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from action.alone import alone, command_of
from action.inputs import Inputs
from action.refusal import Refused
from action.runner import Runner
from tests.action.conftest import COMMIT, pull_request
from tests.action.test_workflow import BEFORE, workflow

DEFAULT = "refs/heads/develop"
DEPLOY = Inputs.of({})
COMMENT = {"issue": {"number": 8, "state": "open", "pull_request": {}}, "action": "created"}


@pytest.mark.parametrize(
    ("event", "name", "stage", "closed"),
    [
        ({"ref": "fix", "ref_type": "branch"}, "delete", "fix", True),
        ({"ref": "refs/heads/fix", "deleted": True, "after": "0" * 40}, "push", "fix", True),
        ({"ref": "refs/heads/develop", "deleted": False}, "push", "develop", False),
        (COMMENT, "issue_comment", "pr-8", False),
        ({"issue": {"number": 8}, "action": "created"}, "issue_comment", "develop", False),
        ({"schedule": "0 0 * * *"}, "schedule", "develop", False),
        ({"action": "x", "branch": "develop"}, "repository_dispatch", "develop", False),
        (pull_request(action="closed"), "pull_request", "pr-7", True),
        (pull_request(action="labeled", state="closed"), "pull_request", "pr-7", True),
        (pull_request(action="submitted", state="closed"), "pull_request_review", "pr-7", True),
        (pull_request(action="converted_to_draft", state="open"), "pull_request", "pr-7", False),
    ],
)
def test_what_an_event_is_about(tmp_path: Path, event: dict[str, Any], name: str, stage: str, closed: bool):
    found = workflow(tmp_path, event, name, DEFAULT)
    assert (found.stage(""), found.closed) == (stage, closed)
    assert command_of(DEPLOY, found) == ("remove" if closed else "deploy")


@pytest.mark.parametrize(
    ("event", "name", "ref"),
    [
        ({"ref": "v1", "ref_type": "tag"}, "delete", DEFAULT),
        ({"ref": "refs/tags/v1", "deleted": True}, "push", DEFAULT),
        ({"merge_group": {"head_sha": COMMIT}}, "merge_group", "refs/heads/gh-readonly-queue/main/pr-7-1234"),
        ({"release": {}}, "release", "refs/tags/v1"),
        ({"workflow_run": {**BEFORE, "event": "pull_request"}}, "workflow_run", DEFAULT),
        ({"workflow_run": {**BEFORE, "head_repository": {"id": 1}}}, "workflow_run", DEFAULT),
    ],
)
def test_what_names_no_stage_takes_no_others(tmp_path: Path, event: dict[str, Any], name: str, ref: str):
    found = workflow(tmp_path, event, name, ref)
    with pytest.raises(Refused) as refused:
        found.stage("")
    assert refused.value.id == "no-stage"
    assert found.stage("dev") == "dev"


def test_a_closed_pull_request_takes_no_other_stage_along(tmp_path: Path):
    closed = workflow(tmp_path, pull_request(action="closed", merged=True), "pull_request", DEFAULT)
    assert command_of(Inputs.of({"INPUT_STAGE": "pr-7"}), closed) == "remove"
    assert command_of(Inputs.of({"INPUT_STAGE": "prod", "INPUT_COMMAND": "outputs"}), closed) == "outputs"
    with pytest.raises(Refused) as refused:
        command_of(Inputs.of({"INPUT_STAGE": "prod"}), closed)
    assert refused.value.id == "closed"


def test_a_comment_brings_no_code_of_strangers_to_the_role(tmp_path: Path):
    found = workflow(tmp_path, COMMENT, "issue_comment", DEFAULT)
    with pytest.raises(Refused) as refused:
        alone(DEPLOY, found, {}, Runner({}), Path(sys.executable))
    assert refused.value.id == "unsafe-event"
