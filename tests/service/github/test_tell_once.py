"""Whatever breaks in between, GitHub has each thing once, and in the end it is right."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from service.github import tell as tell_module
from service.github.client import RepositoryClient
from service.github.errors import GitHubUnavailable
from service.github.tell import AnotherTells, tell
from service.models import Told
from tests.service.github.recorder import DROP_ANSWER, Fault
from tests.service.github.story import Story


@pytest.mark.parametrize("ending", ["/comments", "/check-runs", "/deployments", "/statuses"])
def test_an_answer_that_is_lost_after_the_thing_was_made(story: Story, ending: str) -> None:
    story.deploy(story.add_stage())
    story.recorder.faults.append(Fault("POST", ending, DROP_ANSWER))
    with pytest.raises(GitHubUnavailable):
        story.tell()
    story.tell()
    assert "Live" in story.comment()
    assert story.check()["conclusion"] == "success"
    assert story.deployments() == [(story.commit, "success")]


@pytest.mark.parametrize("ending", ["/comments", "/check-runs", "/deployments"])
def test_a_post_that_got_a_502_is_not_repeated_blindly(story: Story, ending: str) -> None:
    story.deploy(story.add_stage())
    story.recorder.faults.append(Fault("POST", ending, 502))
    with pytest.raises(GitHubUnavailable):
        story.tell()
    posts = [call for call in story.recorder.writes() if call.startswith("POST") and call.endswith(ending)]
    assert len(posts) == 1
    story.tell()
    assert "Live" in story.comment()
    assert story.check()["conclusion"] == "success"
    assert story.deployments() == [(story.commit, "success")]


def test_a_patch_that_got_a_502_is_repeated(story: Story) -> None:
    stage = story.add_stage()
    story.want(stage, story.commit)
    story.tell()
    story.recorder.faults.append(Fault("PATCH", "", 502))
    story.end(story.begin(stage))
    story.tell()
    assert "Live" in story.comment()


def test_a_comment_that_somebody_deleted_is_made_anew(story: Story) -> None:
    stage = story.add_stage()
    story.want(stage, story.commit)
    story.tell()
    (comment,) = story.github.comments(story.notes, story.number)
    story.github.delete_comment(story.notes, comment["id"])
    assert story.tell() == []
    story.end(story.begin(stage))
    story.tell()
    assert "Live" in story.comment()


def test_somebody_elses_comment_that_bears_our_marker_is_left_alone(story: Story) -> None:
    story.deploy(story.add_stage())
    story.recorder.faults.append(Fault("POST", "/comments", 502))
    with pytest.raises(GitHubUnavailable):
        story.tell()
    forged = f"<!-- stagedoor:{'0' * 32}:{story.source_id} --> Free money"
    story.github.comment(story.notes, story.number, forged)
    story.tell()
    theirs, ours = story.comments()
    assert theirs == forged
    assert "Live" in ours


def test_a_rate_limit_says_when_to_come_again(story: Story) -> None:
    story.deploy(story.add_stage())
    reset = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=20)
    story.recorder.faults.append(
        Fault(
            "POST",
            "/comments",
            403,
            headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(reset.timestamp()))},
            body=b'{"message": "API rate limit exceeded for installation ID 815."}',
        )
    )
    with pytest.raises(GitHubUnavailable) as limit:
        story.tell()
    assert limit.value.retry_at == reset + timedelta(seconds=1)


def test_a_commit_that_github_does_not_have_stops_nothing_else(story: Story) -> None:
    stage = story.add_stage()
    story.deploy(stage, "f" * 40)
    story.tell()
    assert "Live" in story.comment()
    assert story.deployments() == []
    assert story.tell() == []


def test_a_suspended_installation_is_not_told_and_breaks_nothing(story: Story) -> None:
    story.deploy(story.add_stage())
    with story.github.installation("suspended"):
        assert story.tell() == []
    assert story.comments() == []
    story.tell()
    assert "Live" in story.comment()


def test_workers_that_tell_at_once_make_each_thing_once(story_on_each: Story) -> None:
    story = story_on_each
    story.deploy(story.add_stage())
    together = threading.Barrier(6)

    def work(_: int) -> Any:
        together.wait()
        return tell(story.sessions, story.clients, story.source_id, story.settings)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert len(story.recorder.writes()) == 4  # comment, check run, deployment and its status
    assert "Live" in story.comment()
    assert story.deployments() == [(story.commit, "success")]


def test_the_claim_of_a_worker_that_died_becomes_void(story_on_each: Story) -> None:
    story = story_on_each
    stage = story.add_stage()
    story.want(stage, story.commit)
    story.tell()
    story.end(story.begin(stage))
    with story.sessions.begin() as session:
        died = datetime.now(UTC) - timedelta(minutes=2)
        session.execute(update(Told).where(Told.key == "claim").values(state="somebody-dead", updated_at=died))
    story.tell()
    assert "Live" in story.comment()


def test_who_lost_the_claim_while_looking_for_a_thing_does_not_make_it(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story.deploy(story.add_stage())
    story.recorder.faults.append(Fault("POST", "/comments", 502))
    with pytest.raises(GitHubUnavailable):
        story.tell()

    def look_for_long(*_arguments: object) -> None:
        with story.sessions.begin() as session:
            session.execute(update(Told).where(Told.key == "claim").values(state="another"))

    monkeypatch.setattr(RepositoryClient, "find_comment", look_for_long)
    before = len(story.recorder.writes())
    with pytest.raises(GitHubUnavailable, match="taken over"):
        story.tell()
    assert story.recorder.writes()[before:] == []


def test_a_claim_is_kept_while_one_call_takes_longer_than_it_lasts(
    story_on_each: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = story_on_each
    story.deploy(story.add_stage())
    monkeypatch.setattr(tell_module, "CLAIM_SECONDS", 2.0)
    monkeypatch.setattr(tell_module, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(tell_module, "WAIT_SECONDS", 3.0)
    with tell_module._claim(story.sessions, story.source_id), pytest.raises(AnotherTells):
        story.tell()
    story.tell()
    assert "Live" in story.comment()
