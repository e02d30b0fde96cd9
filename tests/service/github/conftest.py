"""A local GitHub, and a pull request on it that the database knows of."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from service.database import Sessions, make_engine, make_sessions
from service.models import Base
from service.settings import Settings
from tests.service.github.recorder import Recorder
from tests.service.github.story import Story

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def github() -> Iterator[LocalGitHub]:
    with LocalGitHub() as running:
        yield running


@pytest.fixture
def recorder(github: LocalGitHub) -> Iterator[Recorder]:
    with Recorder(github.api_url) as running:
        yield running


@pytest.fixture
def notes(github: LocalGitHub, tmp_path: Path) -> LocalRepository:
    folder = tmp_path / "notes"
    (folder / "infra").mkdir(parents=True)
    (folder / "app.py").write_text("answer = 1\n")
    (folder / "cdk.json").write_text('{"app": "python3 app.py"}\n')
    (folder / "infra" / "stack.py").write_text("# stack\n")
    return github.create_repository(f"acme/notes-{next(_NUMBERS)}", folder)


@pytest.fixture
def settings(github: LocalGitHub, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> Settings:
    # A courtesy to GitHub that the local one does not need.
    monkeypatch.setattr("service.github.client.SECONDS_BETWEEN_WRITES", 0)
    return Settings(
        public_url="https://stagedoor.example.com",
        github_app_id=github.app_id,
        github_private_key=github.private_key,
        github_api_url=recorder.url,
    )


@pytest.fixture
def story(
    github: LocalGitHub, notes: LocalRepository, tmp_path: Path, recorder: Recorder, settings: Settings
) -> Iterator[Story]:
    """A pull request that changes `app.py`, with its rows and no stage yet, on SQLite."""
    engine = make_engine(f"sqlite:///{tmp_path}/stagedoor.sqlite")
    Base.metadata.create_all(engine)
    yield Story(github, notes, make_sessions(engine), recorder, settings)
    engine.dispose()


@pytest.fixture
def story_on_each(
    github: LocalGitHub, notes: LocalRepository, database: Sessions, recorder: Recorder, settings: Settings
) -> Story:
    """The same, once on SQLite and once on PostgreSQL."""
    return Story(github, notes, database, recorder, settings)
