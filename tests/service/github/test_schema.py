"""All that we send to GitHub is what GitHub's own description of its API allows."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from service.database import make_engine, make_sessions
from service.models import Base, Outcome
from service.settings import Settings
from tests.service.github.prism import validating
from tests.service.github.recorder import DROP_ANSWER, Fault, Recorder
from tests.service.github.story import Story


@pytest.fixture(scope="module")
def proxy(github: LocalGitHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with validating(github.api_url, tmp_path_factory.mktemp("prism")) as url:
        yield url


def test_every_call_is_valid(
    github: LocalGitHub, notes: LocalRepository, settings: Settings, tmp_path: Path, proxy: str
) -> None:
    engine = make_engine(f"sqlite:///{tmp_path}/stagedoor.sqlite")
    Base.metadata.create_all(engine)
    with Recorder(proxy, github.api_url) as recorder:
        story = Story(github, notes, make_sessions(engine), recorder, settings)
        ask_everything(story)
        look_for_an_artifact(story)
        tell_everything(story)
        said = {call.method + " " + call.path.partition("?")[0].rpartition("/")[2] for call in recorder.calls}
        wrong = [
            f"{call}: {violation['message']} at {violation['location']}"
            for call in recorder.calls
            for violation in json.loads(call.violations or "[]")
            if violation["location"][0] == "request"
        ]
    engine.dispose()
    assert wrong == []
    assert {"POST access_tokens", "POST comments", "POST check-runs", "POST deployments", "POST statuses"} <= said


def ask_everything(story: Story) -> None:
    client = story.clients.for_repository(story.repository())
    assert client.pull(story.number)
    assert client.open_pulls()
    assert client.branch("shorter")
    assert client.owner_id()
    assert client.file("app.py", "shorter")
    assert client.changed_paths(story.number) == ("app.py",)
    assert client.fetch_token()


def look_for_an_artifact(story: Story) -> None:
    """Not fetched here: the proxy follows redirects by itself, token and all, as our client never does."""
    run = story.github.begin_workflow(story.notes, story.commit)
    story.github.end_workflow(story.notes, run, {"built": b"PK"})
    workflows = story.clients.workflows_of(story.repository())
    for branch in (None, "shorter"):
        assert [found.id for found in workflows.of_commit(story.commit, branch)] == [run]
    assert workflows.artifact(run, "built")


def tell_everything(story: Story) -> None:
    stage = story.add_stage()
    story.want(stage, story.commit)
    for ending in ("/comments", "/check-runs"):
        story.recorder.faults.append(Fault("POST", ending, DROP_ANSWER))
        with pytest.raises(Exception, match="GitHub"):
            story.tell()
    run = story.begin(stage)
    story.recorder.faults.append(Fault("POST", "/deployments", DROP_ANSWER))
    with pytest.raises(Exception, match="GitHub"):
        story.tell()
    story.tell()
    story.end(run)
    story.tell()
    location = {"path": "app.py", "line": 3, "column": 1}
    error = {"id": "x", "what": "No.", "remedy": "Mend it.", "detail": "Traceback", "location": location}
    story.deploy(stage, story.push(), outcome=Outcome.FAILED, error=error)
    story.tell()
    story.want(stage, None)
    story.end(story.begin(stage))
    story.tell()
    assert "Removed" in story.comment()


def test_the_proxy_objects_to_what_github_would_refuse(github: LocalGitHub, proxy: str) -> None:
    with Recorder(proxy, github.api_url) as recorder:
        connection = http.client.HTTPConnection(recorder.url.removeprefix("http://"))
        connection.request(
            "POST",
            "/repos/acme/notes/check-runs",
            json.dumps({"name": 3, "status": "finished"}),
            {"Content-Type": "application/json", "Authorization": "Bearer x"},
        )
        connection.getresponse().read()
        connection.close()
    assert "request" in recorder.calls[0].violations
