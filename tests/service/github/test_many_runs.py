"""Strangers can have workflows run for any commit, by pull requests from forks: ours is found among all of theirs."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from service.github.workflows import RUNS
from tests.service.github.recorder import Fault
from tests.service.github.story import Story


def foreign_runs(story: Story) -> list[dict[str, Any]]:
    """Return a page of runs that a fork had for the commit."""
    run = {"name": "w", "event": "pull_request", "head_sha": story.commit, "head_branch": "x", "html_url": "h"}
    where = {"repository": {"id": story.notes.number}, "head_repository": {"id": 999_999}}
    return [{**run, **where, "id": 1000 + number, "status": "queued", "conclusion": None} for number in range(RUNS)]


def test_more_runs_than_one_answer_lists_do_not_hide_ours(story: Story) -> None:
    run = story.github.begin_workflow(story.notes, story.commit)
    page = json.dumps({"total_count": RUNS + 1, "workflow_runs": foreign_runs(story)}).encode()
    story.recorder.faults.append(Fault("GET", "/actions/runs", 200, times=2, body=page))
    found = story.clients.workflows_of(story.repository()).of_commit(story.commit, None)
    assert [len(found), found[-1].id] == [2 * RUNS + 1, run]


def test_for_a_branch_github_is_asked_for_its_pushes_alone(story: Story) -> None:
    story.clients.workflows_of(story.repository()).of_commit(story.commit, "release/1+2")
    (asked,) = [parse_qs(urlsplit(call.path).query) for call in story.recorder.calls if "/actions/runs" in call.path]
    wanted = {"head_sha": [story.commit], "event": ["push"], "branch": ["release/1+2"]}
    assert wanted.items() <= asked.items()
