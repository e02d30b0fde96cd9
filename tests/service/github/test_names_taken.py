"""A repository's name may be somebody else's by now: after a rename the old one is free, and the webhook may be lost.

GitHub leads from an old name to the repository until somebody takes it. Then whoever did would be asked in its place.
"""

from pathlib import Path

import pytest
from sqlalchemy import update

from demo.github.world import Access, LocalRepository
from service.github.client import RepositoryClient
from service.github.errors import InstallationGone
from service.models import Repository
from tests.service.github.story import Story


@pytest.fixture
def taken(story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalRepository:
    """Another public repository that has the name which the service knows; any token may read what is public."""
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "cdk.json").write_text('{"app": "python3 evil.py"}')
    other = story.github.create_repository(f"{story.notes.full_name}-taken", tmp_path / "evil")
    story.github.push(other, "shorter", {"evil.py": "evil = 1\n"}, deliver=False)
    for _ in range(story.number):
        story.github.open_pull_request(other, "shorter", deliver=False)
    monkeypatch.setattr(Access, "allows", lambda _access, _repository, _permission, level: level == "read")
    with story.sessions.begin() as session:
        session.execute(update(Repository).values(full_name=other.full_name))
    return other


@pytest.fixture
def client(story: Story, taken: LocalRepository) -> RepositoryClient:
    return story.clients.for_repository(story.repository())


def test_nothing_that_another_repository_has_is_taken_for_ours(story: Story, client: RepositoryClient) -> None:
    for question in (
        lambda: client.branch("main"),
        lambda: client.branch("no-such-branch"),
        lambda: client.pull(story.number),
        lambda: client.pull(4040),
        client.open_pulls,
        client.owner_id,
    ):
        with pytest.raises(InstallationGone, match="another repository"):
            question()


def test_no_workflow_of_another_repository_counts(story: Story, taken: LocalRepository) -> None:
    """Its workflow can run for our own commit: somebody opens a pull request from our repository to theirs."""
    taken.git.fetch(story.notes.git, "shorter", "refs/pull/99/head")
    story.github.begin_workflow(taken, story.commit, fork=story.notes)
    assert story.clients.workflows_of(story.repository()).of_commit(story.commit, None) == ()
