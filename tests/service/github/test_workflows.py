"""Artifacts come from GitHub's storage, which is shown no token and from which no more is taken than was agreed."""

from pathlib import Path

import pytest

from service.github.errors import GitHubRefused
from service.github.workflows import ArtifactTooLarge
from tests.service.github.story import Story


def test_an_artifact_is_found_by_its_name_and_fetched(story: Story, tmp_path: Path) -> None:
    run = story.github.begin_workflow(story.notes, story.commit)
    story.github.end_workflow(story.notes, run, {"built": b"P" * 300_000, "other": b"PK"})
    workflows = story.clients.workflows_of(story.repository())
    (found,) = workflows.of_commit(story.commit, None)
    assert (found.id, found.event, found.conclusion) == (run, "pull_request", "success")
    assert found.head_repository == story.notes.number
    artifact = workflows.artifact(run, "built")
    assert artifact is not None
    assert (artifact.size, artifact.expired) == (300_000, False)
    assert workflows.artifact(run, "missing") is None

    file, looks = tmp_path / "built.zip", []
    workflows.download(artifact.id, file, 300_000, lambda: looks.append(1))
    assert file.read_bytes() == b"P" * 300_000
    assert looks, "a run that is cancelled meanwhile ends"
    with pytest.raises(ArtifactTooLarge):
        workflows.download(artifact.id, file, 299_999, lambda: None)
    story.notes.workflow_runs[run].artifacts[artifact.id].expired = True
    with pytest.raises(GitHubRefused):
        workflows.download(artifact.id, file, 300_000, lambda: None)


def test_its_token_reads_actions_of_the_one_repository_and_nothing_else(story: Story) -> None:
    workflows = story.clients.workflows_of(story.repository())
    token = workflows._tokens.token(workflows._scope)
    access = story.github.access_of(token)
    assert access.repositories == frozenset({story.notes.number})
    assert access.permissions == {"actions": "read", "metadata": "read"}
