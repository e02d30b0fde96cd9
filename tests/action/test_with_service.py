"""Modes 1 and 2 against the real service: its front door and workers, the local GitHub and AWS, an OIDC issuer."""

import html
import io
import itertools
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from action.ask import ask
from action.inputs import Inputs
from action.refusal import Refused
from action.runner import Runner
from action.workflow import Workflow
from demo.cloud import Cloud
from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from tests.action.apps import ASSETS, put_app
from tests.action.conftest import HOSTILE_BRANCH, HOSTILE_TITLE, pull_request
from tests.action.cutting_proxy import CuttingProxy
from tests.action.job import Job
from tests.oidc_issuer import JobClaims, OidcIssuer

_NUMBERS = itertools.count(1)

pytestmark = [pytest.mark.xdist_group("whole service"), pytest.mark.timeout(240)]


class House:
    """The laptop cloud with workflows: a job for a pull request has what a runner would give it."""

    def __init__(self, cloud: Cloud, issuer: OidcIssuer, job: Any) -> None:
        self.cloud, self.issuer, self.job = cloud, issuer, job
        self.github = cloud.github

    def run_of(self, repository: LocalRepository, number: int, action: str = "synchronize", **more: Any) -> Job:
        """Return a job for a pull request; `merged`: for its merge with its base, as GitHub has it."""
        head = repository.pulls[number].head_sha
        sha = self.github.test_merge(repository, number) if more.pop("merged", False) else head
        event = pull_request(number, action, head)
        claims = JobClaims(
            repository.number,
            101,
            repository.full_name,
            event="pull_request",
            ref=f"refs/pull/{number}/merge",
            sha=sha,
        )
        claims = replace(claims, **more.pop("claims", {}))
        made: Job = self.job(
            event,
            tokens=more.pop("tokens", self.issuer.job_environment(claims)),
            github={
                "repository": repository.full_name,
                "repository_id": repository.number,
                "server_url": self.github.web_url,
                "api_url": self.github.api_url,
                "ref": f"refs/pull/{number}/merge",
                "sha": sha,
            },
            **more,
        )
        return made


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer() as running:
        yield running


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, issuer: OidcIssuer) -> Iterator[Cloud]:
    with Cloud(tmp_path_factory.mktemp("cloud"), more={"STAGEDOOR_OIDC_ISSUERS": issuer.url}) as running:
        yield running
        running.service.stop(2)  # nobody waits for what its runs would still come to


@pytest.fixture
def house(cloud: Cloud, issuer: OidcIssuer, job: Any) -> House:
    return House(cloud, issuer, job)


@pytest.fixture
def repository(cloud: Cloud, tmp_path: Path) -> LocalRepository:
    return cloud.github.create_repository(f"acme/notes-{next(_NUMBERS)}", put_app(tmp_path / "tiny"))


def test_the_step_ends_as_the_run_ends(house: House, repository: LocalRepository):
    github, server = house.github, house.cloud.service.url
    github.push(repository, "shorter", {"word": "::error::one"})
    number = github.open_pull_request(repository, "shorter", title=HOSTILE_TITLE)
    first = house.run_of(repository, number, "opened")
    assert first.use(server=server), first.log
    assert first.ran == ["ask"]
    assert first.outputs["status"] == "succeeded"
    assert first.outputs["stage"] == f"pr-{number}"
    assert first.outputs["changed"] == "true"
    assert '"Tiny": {"Name":' in first.outputs["outputs"]
    assert first.outputs["run-url"].startswith(f"{server}/runs/")
    assert "✅ Live" in first.summary
    assert "##[group]Run the app's program" in first.heard.lines
    assert "synth | the word is ::error::one" in first.log
    assert first.errors == []
    assert len(first.heard.masks) >= 2
    assert not any(mask in first.log for mask in first.heard.masks)
    assert not list(first.folder.rglob("pwned"))

    again = house.run_of(repository, number)
    assert again.use(server=server), again.log
    assert again.outputs["outputs"] == first.outputs["outputs"]

    outputs = house.run_of(repository, number)
    assert outputs.use(server=server, command="outputs", outputs="Nothing"), outputs.log
    assert outputs.outputs["outputs"] == first.outputs["outputs"]
    assert "<code>Name</code>" not in outputs.summary

    github.push(repository, "shorter", {"app.py": "\n\nraise SystemExit('::add-mask::e')"})
    broken = house.run_of(repository, number)
    assert not broken.use(server=server)
    assert broken.outputs["status"] == "failed"
    assert broken.errors[0].startswith("The app's program (python3 app.py) ended with status 1")
    assert "❌ Failed" in broken.summary

    removed = house.run_of(repository, number)
    assert removed.use(server=server, command="remove"), removed.log
    assert removed.outputs["status"] == "removed"


def test_the_workflow_may_come_before_the_webhook(house: House, repository: LocalRepository):
    github, server = house.github, house.cloud.service.url
    github.push(repository, "known", {"word": "one"})
    github.wait_for_deliveries()
    github.push(repository, "early", {"word": "one"}, deliver=False)
    number = github.open_pull_request(repository, "early", deliver=False)
    early = house.run_of(repository, number, "opened")
    # No webhook has told of it: that a workflow asks for it makes the service ask GitHub.
    assert early.use(server=server), early.log + str(early.errors)
    assert early.outputs["status"] == "succeeded", early.log
    github.redeliver(github.deliveries[-1])
    late = house.run_of(repository, number)
    assert late.use(server=server), late.log + str(late.errors)


def test_a_job_of_an_older_commit_sets_nothing_back(
    house: House, repository: LocalRepository, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("action.ask.RACE_SECONDS", 3.0)
    github = house.github
    github.push(repository, "twice", {"word": "one"})
    number = github.open_pull_request(repository, "twice")
    late = house.run_of(repository, number)
    github.push(repository, "twice", {"word": "two"})
    newer = house.run_of(repository, number)
    assert newer.use(server=house.cloud.service.url), newer.log
    env = {**late.environment(), "INPUT_SERVER": house.cloud.service.url}
    with pytest.raises(Refused) as refused:
        ask(Inputs.of(env), Workflow.of(env), env, Runner({}, io.StringIO()))
    assert refused.value.id == "commit-not-wanted"


def test_a_closed_pull_request_is_left_to_the_service(job: Any):
    here = job(pull_request(action="closed"))
    assert here.use(server="http://127.0.0.1:9"), here.log
    assert here.outputs["status"] == "unchanged"
    merged = job(pull_request(action="closed"))
    assert not merged.use(server="http://127.0.0.1:9", stage="dev"), "nothing was deployed to dev"
    assert "dev is not its own stage" in merged.errors[0]


def test_a_stream_that_is_cut_loses_no_line_and_doubles_none(house: House, repository: LocalRepository):
    github, server = house.github, house.cloud.service.url
    many = "import time\nfor n in range(60): print(f'line {n};', flush=True); time.sleep(0.02)\n"
    github.push(repository, "cut", {"app.py": many + (put_app(house.cloud.state / "cut") / "app.py").read_text()})
    number = github.open_pull_request(repository, "cut")
    with CuttingProxy(after=1_500) as proxy:
        here = house.run_of(repository, number, env={"http_proxy": proxy.url, "no_proxy": ""})
        assert here.use(server=server), here.log
    assert proxy.cuts >= 3
    assert [here.log.count(f"synth | line {n};") for n in range(60)] == [1] * 60


def test_a_cancellation_is_passed_on(house: House, repository: LocalRepository):
    github, server = house.github, house.cloud.service.url
    slow = "import time; print('up', flush=True); time.sleep(100)\n"
    app = put_app(house.cloud.state / "slow") / "app.py"
    github.push(repository, "slow", {"app.py": slow + app.read_text()})
    number = github.open_pull_request(repository, "slow")
    here = house.run_of(repository, number)
    working = threading.Thread(target=lambda: here.use(server=server))
    working.start()
    until_said(here, "synth | up", working)
    here.cancel()
    working.join(20)
    assert here.outputs["status"] == "cancelled"
    assert "The service was told to cancel the run" in here.log
    commented(github, repository, number, "Cancelled")


def test_a_job_of_an_older_commit_cancels_nothing_of_a_newer_one(house: House, repository: LocalRepository):
    github, server = house.github, house.cloud.service.url
    slow = "import time; print('up', flush=True); time.sleep(4)\n"
    app = slow + (put_app(house.cloud.state / "older") / "app.py").read_text()
    github.push(repository, "older", {"app.py": app})
    number = github.open_pull_request(repository, "older")
    older = house.run_of(repository, number)
    working = threading.Thread(target=lambda: older.use(server=server))
    working.start()
    until_said(older, "synth | up", working)
    github.push(repository, "older", {"app.py": app.replace("'up'", "'newer'")})
    until_said(older, "synth | newer", working)
    older.cancel()
    working.join(20)
    assert older.outputs["status"] == "cancelled"
    assert "goes on: it is for something newer than this job." in older.log
    newer = house.run_of(repository, number)
    assert newer.use(server=server), newer.log
    assert newer.outputs["status"] in ("succeeded", "unchanged")


def until_said(here: Job, words: str, working: threading.Thread) -> None:
    """Wait until a step's log has some words, or the step has ended."""
    deadline = time.monotonic() + 60
    while words not in here.log and working.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)


def commented(github: LocalGitHub, repository: LocalRepository, number: int, words: str) -> None:
    """Wait for the comment to say so: GitHub is told a moment after the run has ended."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        comments = github.comments(repository, number)
        if comments and words in comments[0]["body"]:
            return
        time.sleep(0.2)
    raise AssertionError(comments)


BASE_IS_OPEN = """
[previews]
branches = ["main"]
[stages.main]
pull_requests = "diff"
"""


def test_a_pull_request_is_compared_with_the_stage_of_its_base(house: House, repository: LocalRepository):
    github, server = house.github, house.cloud.service.url
    github.push(repository, "change", {"word": "two"})
    number = github.open_pull_request(repository, "change")
    shut = house.run_of(repository, number)
    assert not shut.use(server=server, command="diff", stage="main")
    assert shut.errors[0].startswith("You may not do this here")

    deployed = github.push(repository, "main", {"stagedoor.toml": BASE_IS_OPEN})
    pushed = house.run_of(repository, number, claims={"event": "push", "ref": "refs/heads/main", "sha": deployed})
    github_of_push = {**pushed.github, "event_name": "push", "ref": "refs/heads/main", "sha": deployed, "head_ref": ""}
    pushed = replace(pushed, github=github_of_push, event={"repository": {"id": 4242}})
    assert pushed.use(server=server), pushed.log

    # Something came to main meanwhile, which the pull request's head has not.
    github.push(repository, "main", {"readme": "newer"})
    here = house.run_of(repository, number, merged=True)
    assert here.use(server=server, command="diff", stage="main"), here.log
    assert f"commit {here.github['sha'][:7]}: the service compares" in here.log
    assert here.ran == ["ask"]
    assert (here.outputs["status"], here.outputs["changed"], here.outputs["stage"]) == ("succeeded", "true", "main")
    assert "what a deploy to <code>main</code> would change" in here.summary
    assert "<code>update</code> | 1 |" in here.summary
    assert f"[All of it, with its values]({here.outputs['run-url']})" in here.summary
    with urllib.request.urlopen(here.outputs["run-url"]) as page:
        assert "→ two" in html.unescape(page.read().decode())
    assert "synth | the word is two" in here.log
    stage = house.run_of(repository, number)
    assert not stage.use(server=server, command="outputs", stage="main"), "to be compared is not to be read"

    github.push(repository, "main", {"word": "two"})
    same = house.run_of(repository, number, merged=True)
    deadline = time.monotonic() + 60
    while not (same.use(server=server, command="diff", stage="main") and same.outputs["changed"] == "false"):
        assert time.monotonic() < deadline, same.log
        same = house.run_of(repository, number, merged=True)
    assert same.outputs["status"] == "unchanged"
    assert "Nothing would change." in same.summary

    github.push(repository, "change", {"app.py": "\n\nraise SystemExit('no')"})
    broken = house.run_of(repository, number, merged=True)
    assert not broken.use(server=server, command="diff", stage="main")
    assert broken.outputs["status"] == "failed"
    assert broken.errors[0].startswith("The app's program (python3 app.py) ended with status 1")


def test_a_comparison_that_is_cancelled_ends_at_the_service(house: House, repository: LocalRepository):
    github, server = house.github, house.cloud.service.url
    slow = "import time; print('up', flush=True); time.sleep(100)\n"
    github.push(repository, "slow", {"app.py": slow + (put_app(house.cloud.state / "slower") / "app.py").read_text()})
    number = github.open_pull_request(repository, "slow")
    here = house.run_of(repository, number)
    working = threading.Thread(target=lambda: here.use(server=server, command="diff"))
    working.start()
    until_said(here, "synth | up", working)
    here.cancel()
    working.join(20)
    assert here.outputs["status"] == "cancelled"
    assert "The service was told to compare no further." in here.log
    github.close(repository, number)


SYNTH_HERE = {"stagedoor.toml": '[apps.notes]\nsynth = "actions"\n'}
EXECUTABLE_ASSET = """
source = {"executable": ["/bin/sh", "-c", "env > /tmp/stolen"]}
files = {"a" * 64: {"source": source, "destinations": {"here": {"bucketName": "b", "objectKey": "k"}}}}
(out / "Tiny.assets.json").write_text(json.dumps({"version": "48.0.0", "files": files}))
manifest = json.loads((out / "manifest.json").read_text())
assets = {"type": "cdk:asset-manifest", "properties": {"file": "Tiny.assets.json"}}
manifest["artifacts"]["Tiny.assets"] = assets
manifest["artifacts"]["Tiny"]["dependencies"] = ["Tiny.assets"]
(out / "manifest.json").write_text(json.dumps(manifest))
"""
"""An asset that would be made by a program where it is published: with the service's credentials."""


def synthesised(house: House, repository: LocalRepository, number: int, more: str = "") -> Job:
    """Have the workflow's job, which holds nothing, run the program of what is checked out."""
    here = house.run_of(repository, number, "opened", tokens={})
    put_app(here.workspace, more)
    (here.workspace / "stagedoor.toml").write_text(SYNTH_HERE["stagedoor.toml"])
    assert here.use(synth="runner"), here.log
    return here


def test_what_a_job_without_credentials_left_is_deployed(house: House, repository: LocalRepository):
    github, server = house.github, house.cloud.service.url
    github.push(repository, "main", SYNTH_HERE)
    github.push(repository, "here", {"word": "never read by the service"})
    number = github.open_pull_request(repository, "here")
    run = github.begin_workflow(repository, repository.pulls[number].head_sha, branch="here")
    here = synthesised(house, repository, number, ASSETS)
    github.leave_artifacts(repository, run, here.artifacts)
    # The workflow goes on: it is a second job of it that waits, without the pull request's code.
    waiting = house.run_of(repository, number)
    assert waiting.use(server=server), waiting.log
    assert waiting.outputs["status"] == "succeeded"
    assert '"Tiny": {"Name":' in waiting.outputs["outputs"]
    assert "##[group]Run the app's program" not in waiting.heard.lines


def test_a_hostile_artifact_is_refused_by_name(house: House, repository: LocalRepository):
    github, server = house.github, house.cloud.service.url
    github.push(repository, "main", SYNTH_HERE)
    github.push(repository, "evil", {"word": "one"})
    number = github.open_pull_request(repository, "evil")
    run = github.begin_workflow(repository, repository.pulls[number].head_sha, branch="evil")
    here = synthesised(house, repository, number, EXECUTABLE_ASSET)
    github.end_workflow(repository, run, here.artifacts)
    waiting = house.run_of(repository, number)
    assert not waiting.use(server=server)
    assert [where["title"] for level, where, _ in waiting.heard.annotations if level == "error"] == [
        "Stagedoor: executable-asset"
    ]
    commented(github, repository, number, "❌ Failed")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"event": "pull_request_target"}, "does not take this job's identity"),
        ({"repository_id": 999_999}, "does not take this job's identity"),
        ({"ref": "refs/heads/main", "event": "push"}, "may not"),
    ],
)
def test_a_job_that_may_not_is_told_so(house: House, repository: LocalRepository, claims: dict[str, Any], said: str):
    house.github.push(repository, "other", {"word": "one"})
    number = house.github.open_pull_request(repository, "other")
    here = house.run_of(repository, number, claims=claims)
    assert not here.use(server=house.cloud.service.url)
    assert said in here.errors[0]


def test_a_job_without_an_identity_is_told_what_it_lacks(job: Any):
    here = job()
    assert not here.use(server="http://127.0.0.1:9")
    assert here.errors[0].startswith("The job has no identity that the service could know it by. Give the job")
    assert HOSTILE_BRANCH not in here.log
    elsewhere = job()
    assert not elsewhere.use(server="http://stages.example.com")
    assert "Only https keeps the token" in elsewhere.errors[0]
