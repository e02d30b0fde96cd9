"""Workflows that ended and words under pull requests, as webhooks tell of them."""

from typing import Any

import pytest

from service.webhooks.hints import DeployAsked, Ignored, WorkflowEnded, hint_of

SHA = "a" * 40
REPOSITORY = {"id": 7, "full_name": "acme/notes"}


def commented(body: str, action: str = "created", **changes: Any) -> dict[str, Any]:
    comment = {"id": 5, "body": body, "user": {"login": "mona", "id": 3, "type": "User"}, **changes}
    issue = {"number": 12, "pull_request": {"url": "x"}}
    return {"action": action, "issue": issue, "comment": comment, "repository": REPOSITORY}


@pytest.mark.parametrize(
    ("body", "sha"),
    [
        (f"/deploy {SHA}", SHA),
        (f"\n  /deploy\t{SHA.upper()}  \r\nI have read it.", SHA),
        ("/deploy aaaaaaa", "aaaaaaa"),
        ("/deploy", ""),
    ],
)
def test_a_word_is_read_from_the_first_line(body: str, sha: str) -> None:
    hint = hint_of("issue_comment", commented(body))
    assert isinstance(hint, DeployAsked)
    assert (hint.number, hint.comment_id, hint.login, hint.user_id, hint.sha) == (12, 5, "mona", 3, sha)


@pytest.mark.parametrize(
    "payload",
    [
        commented(f"/deploy {SHA}", action="edited"),
        commented(f"/deploy {SHA}", action="deleted"),
        commented(f"> /deploy {SHA}"),
        commented(f"please\n/deploy {SHA}"),
        commented(f"/deploy {SHA} now"),
        commented(f"/deployed {SHA}"),
        commented("/deploy main"),
        commented("/deploy " + "a" * 65),
        commented(f"/deploy {SHA}", user={"login": "x[bot]", "id": 9, "type": "Bot"}),
        commented(f"/deploy {SHA}", user=None),
        commented(f"/deploy {SHA}", id="5"),
        {**commented(f"/deploy {SHA}"), "issue": {"number": 12}},
        {**commented(f"/deploy {SHA}"), "comment": {"id": 5, "body": None}},
    ],
)
def test_what_is_no_word_is_ignored(payload: dict[str, Any]) -> None:
    assert isinstance(hint_of("issue_comment", payload), Ignored)


def test_a_workflow_counts_when_it_has_ended() -> None:
    run = {"head_sha": SHA, "head_branch": "topic"}
    ended = {"action": "completed", "workflow_run": run, "repository": REPOSITORY}
    hint = hint_of("workflow_run", ended)
    assert isinstance(hint, WorkflowEnded)
    assert (hint.head_sha, hint.branch) == (SHA, "topic")
    assert isinstance(hint_of("workflow_run", {**ended, "action": "requested"}), Ignored)
    assert isinstance(hint_of("workflow_run", {**ended, "workflow_run": None}), Ignored)
