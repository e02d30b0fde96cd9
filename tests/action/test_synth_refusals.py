"""Jobs in which mode 2 runs no code: the service would not take what they leave, or they hold credentials."""

import pytest

from service.stages.artifact import PULL_EVENTS
from tests.action.apps import put_app


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"name": "workflow_run"}, "unsafe-event"),
        ({"name": "issue_comment"}, "unsafe-event"),
        *[({"name": name}, "event-not-taken") for name in ("workflow_dispatch", "schedule", "pull_request_review")],
        ({"env": {"AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/token"}}, "job-holds-credentials"),
        ({"env": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1"}}, "job-holds-credentials"),
    ],
)
def test_no_code_is_run(job, more, error: str):
    here = job(**more)
    put_app(here.workspace, "pathlib.Path('ran').touch()")
    assert not here.use(synth="runner")
    assert [where["title"] for _, where, _ in here.heard.annotations] == [f"Stagedoor: {error}"]
    assert not (here.workspace / "ran").exists()


@pytest.mark.parametrize("name", sorted(PULL_EVENTS))
def test_what_the_service_takes_is_made(job, name: str):
    here = job(name=name)
    put_app(here.workspace)
    assert here.use(synth="runner"), here.log
