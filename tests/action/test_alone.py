"""Mode 3: the engine in the job, the pull request's comment and check run by the workflow's own token."""

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import jwt
import pytest
import requests

from demo.aws.server import LocalAws
from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from stagedoor.cli.stage import OWNER
from tests.action.apps import put_app
from tests.action.conftest import HOSTILE_TITLE, pull_request
from tests.cloudformation.endpoint import ScriptedCloudFormation

pytestmark = [pytest.mark.xdist_group("action-alone"), pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(scope="module")
def github() -> Iterator[LocalGitHub]:
    with LocalGitHub() as running:
        yield running


@pytest.fixture
def repository(github: LocalGitHub, tmp_path: Path, request: pytest.FixtureRequest) -> LocalRepository:
    return github.create_repository(f"acme/{_slug(request.node.name)}", put_app(tmp_path / "tiny"))


def workflow_token(github: LocalGitHub, repository: LocalRepository) -> str:
    """Return what a workflow's `github.token` is: good for one repository, with the permissions that docs name."""
    now = int(time.time())
    app = jwt.encode({"iss": str(github.app_id), "iat": now - 30, "exp": now + 300}, github.private_key, "RS256")
    asked: Any = {
        "repository_ids": [repository.number],
        "permissions": {"contents": "read", "pull_requests": "write", "checks": "write"},
    }
    url = f"{github.api_url}/app/installations/{github.installation_id}/access_tokens"
    answer = requests.post(url, json=asked, headers={"Authorization": f"Bearer {app}"}, timeout=10)
    return str(answer.json()["token"])


def run_of(
    job, github: LocalGitHub, repository: LocalRepository, aws_env, number: int, action="synchronize", at=".", **more
):
    """A job for a pull request, with the repository checked out at its head as docs/action.md has it."""
    head = repository.pulls[number].head_sha
    event = pull_request(number, action, head)
    event["pull_request"]["head"]["repo"] = event["pull_request"]["base"]["repo"] = {"id": repository.number}
    made = job(
        event,
        env=aws_env,
        github={
            "repository": repository.full_name,
            "repository_id": repository.number,
            "server_url": github.web_url,
            "api_url": github.api_url,
            "token": workflow_token(github, repository),
        },
        **more,
    )
    checkout = made.workspace / at
    url = f"{github.web_url}/{repository.full_name}.git"
    subprocess.run(["git", "clone", "-q", str(repository.git.path), str(checkout)], check=True)
    subprocess.run(["git", "checkout", "-q", head], cwd=checkout, check=True)
    subprocess.run(["git", "remote", "set-url", "origin", url], cwd=checkout, check=True)
    return made


def test_a_pull_requests_life(job, aws: LocalAws, github: LocalGitHub, repository: LocalRepository):
    mine = aws.environment("770000000001")
    cloudformation = boto3.Session(mine["AWS_ACCESS_KEY_ID"], "local", region_name="us-east-1").client(
        "cloudformation", endpoint_url=aws.endpoint
    )
    github.push(repository, "shorter", {"word": "::error::one"})
    number = github.open_pull_request(repository, "shorter", title=HOSTILE_TITLE)
    github.comment(repository, number, f"<!-- stagedoor:action:{_app(repository)}:pr-{number} --> mine")

    first = run_of(job, github, repository, mine, number, "opened")
    assert first.use(), first.log
    assert first.ran == ["engine", "cache", "install", "alone", "tell"]
    assert first.outputs["status"] == "succeeded"
    assert first.outputs["changed"] == "true"
    assert first.outputs["stage"] == f"pr-{number}"
    assert '"Tiny": {"Name":' in first.outputs["outputs"]
    assert "Name" in first.summary
    assert "✅ Live" in first.summary
    assert first.errors == []
    head = repository.pulls[number].head_sha
    [check] = github.check_runs(repository, head)
    assert (check["name"], check["conclusion"]) == (f"Stagedoor / {_app(repository)}", "success")
    assert github.check_run_states(repository, check["id"]) == ["in_progress", "success"]
    [mona, ours] = github.comments(repository, number)
    assert mona["body"].endswith("mine")
    assert f"<code>pr-{number}</code> | ✅ Live" in ours["body"]
    assert not list(first.folder.rglob("pwned"))
    [stack] = cloudformation.describe_stacks()["Stacks"]
    tags = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}
    assert tags["stagedoor:service"] == OWNER

    again = run_of(job, github, repository, mine, number)
    assert again.use(), again.log
    assert (again.outputs["status"], again.outputs["changed"]) == ("unchanged", "false")
    assert len(github.comments(repository, number)) == 2

    outputs = run_of(job, github, repository, mine, number)
    assert outputs.use(command="outputs"), outputs.log
    assert outputs.outputs["outputs"] == first.outputs["outputs"]

    github.push(repository, "shorter", {"word": "two"})
    compared = run_of(job, github, repository, mine, number)
    assert compared.use(command="diff"), compared.log
    assert (compared.outputs["status"], compared.outputs["changed"]) == ("succeeded", "true")
    assert f"what a deploy to <code>pr-{number}</code> would change" in compared.summary
    assert "| <code>update</code> | 1 | - |" in compared.summary
    assert "Live" not in compared.summary

    github.push(repository, "shorter", {"app.py": "raise SystemExit('::add-mask::e')"})
    broken = run_of(job, github, repository, mine, number)
    assert not broken.use()
    assert broken.errors[0].startswith("The app's program (python3 app.py) ended with status 1")
    assert broken.heard.masks == []
    assert broken.outputs["status"] == "failed"
    [check] = github.check_runs(repository, repository.pulls[number].head_sha)
    assert check["conclusion"] == "failure"
    assert "❌ Failed" in github.comments(repository, number)[1]["body"]

    github.close(repository, number)
    closed = run_of(job, github, repository, mine, number, "closed")
    assert closed.use(), closed.log
    assert closed.outputs["status"] == "removed"
    assert "🗑️ Removed" in github.comments(repository, number)[1]["body"]
    assert len(github.comments(repository, number)) == 2
    assert cloudformation.describe_stacks()["Stacks"] == []


def test_a_repository_of_any_name_has_one_comment(job, aws: LocalAws, github: LocalGitHub, tmp_path: Path):
    repository = github.create_repository("acme/Notes.Web", put_app(tmp_path / "tiny"))
    github.push(repository, "shorter", {"word": "one"})
    number = github.open_pull_request(repository, "shorter")
    here = run_of(job, github, repository, aws.environment("770000000004"), number)
    assert here.use(), here.log
    [comment] = github.comments(repository, number)
    assert "✅ Live" in comment["body"]


def test_a_stage_of_another_owner_is_refused(job, aws: LocalAws, github: LocalGitHub, repository: LocalRepository):
    mine = aws.environment("770000000002")
    github.push(repository, "shorter", {"word": "one"})
    number = github.open_pull_request(repository, "shorter")
    cloudformation = boto3.Session(mine["AWS_ACCESS_KEY_ID"], "local", region_name="us-east-1").client(
        "cloudformation", endpoint_url=aws.endpoint
    )
    tags = {"app": _app(repository), "stage": f"pr-{number}", "repository": "github.com/1", "service": "a-service"}
    cloudformation.create_stack(
        StackName="of-a-service",
        TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}',
        Tags=[{"Key": f"stagedoor:{key}", "Value": value} for key, value in tags.items()],
    )
    here = run_of(job, github, repository, mine, number)
    assert not here.use()
    assert [where["title"] for level, where, _ in here.heard.annotations if level == "error"] == [
        "Stagedoor: stack-not-ours"
    ]
    assert [stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]] == ["of-a-service"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_checkout_of_another_user_is_the_same_repository(
    job, aws: LocalAws, github: LocalGitHub, repository: LocalRepository
):
    mine = aws.environment("770000000006")
    github.push(repository, "shorter", {"word": "one"})
    number = github.open_pull_request(repository, "shorter")
    here = run_of(job, github, repository, mine, number)
    # As in a job's container, where git trusts no folder that is not its user's own.
    subprocess.run(["chown", "-R", "1001:1001", str(here.workspace)], check=True)
    assert here.use(), here.log
    cloudformation = boto3.Session(mine["AWS_ACCESS_KEY_ID"], "local", region_name="us-east-1").client(
        "cloudformation", endpoint_url=aws.endpoint
    )
    [stack] = cloudformation.describe_stacks()["Stacks"]
    tags = {tag["Key"]: tag["Value"] for tag in stack["Tags"]}
    assert tags["stagedoor:repository"] == f"local/127.0.0.1/{repository.full_name}"
    assert here.heard.annotations == []


@contextmanager
def in_the_middle_of_a_synth(
    job, github: LocalGitHub, repository: LocalRepository, at: str = "."
) -> Iterator[tuple[Any, int]]:
    """A job whose program takes a minute, and the number of its pull request; waits for its end."""
    github.push(repository, "slow", {"word": "one"})
    number = github.open_pull_request(repository, "slow")
    with ScriptedCloudFormation() as endpoint:
        env = {**endpoint.environment(), "AWS_SECRET_ACCESS_KEY": "scripted"}
        here = run_of(job, github, repository, env, number, at=at)
        program = here.workspace / at / "app.py"
        program.write_text("import time; print('up', flush=True); time.sleep(60)\n" + program.read_text())
        working = threading.Thread(target=lambda: here.use(working_directory=at))
        working.start()
        began = time.monotonic()
        while "synth | up" not in here.log and working.is_alive() and time.monotonic() - began < 60:
            time.sleep(0.05)
        yield here, number
        working.join(30)


def test_a_cancelled_job_says_so(job, github: LocalGitHub, repository: LocalRepository):
    with in_the_middle_of_a_synth(job, github, repository) as (here, number):
        asked = time.monotonic()
        here.cancel()
    assert time.monotonic() - asked < 9
    assert here.outputs["status"] == "cancelled"
    assert "Interrupted. Nothing was changed." in here.log
    assert here.ran[-1] == "tell"
    [check] = github.check_runs(repository, repository.pulls[number].head_sha)
    assert check["conclusion"] == "cancelled"
    assert "⏹️ Cancelled" in github.comments(repository, number)[0]["body"]


@pytest.mark.parametrize("at", [".", "a checkout"])
def test_a_step_that_was_killed_is_told_of_by_the_next(job, github, repository: LocalRepository, at: str):
    with in_the_middle_of_a_synth(job, github, repository, at) as (here, number):
        here.kill()
    assert "⏹️ Cancelled" in github.comments(repository, number)[0]["body"]
    [check] = github.check_runs(repository, repository.pulls[number].head_sha)
    assert check["conclusion"] == "cancelled"


def test_a_fork_gets_nothing_even_where_there_are_credentials(
    job, aws: LocalAws, github: LocalGitHub, repository: LocalRepository
):
    github.push(repository, "slow", {"word": "one"})
    number = github.open_pull_request(repository, "slow")
    here = run_of(job, github, repository, aws.environment("770000000003"), number)
    event = pull_request(number, head=repository.pulls[number].head_sha)
    event["pull_request"]["head"]["repo"] = {"id": 1}
    (here.folder / "event.json").write_text(json.dumps(event))
    assert not here.use(github_token="")
    assert here.errors[0].startswith("A pull request from a fork has no AWS role here")
    assert github.comments(repository, number) == []


def _app(repository: LocalRepository) -> str:
    return repository.full_name.partition("/")[2]


def _slug(name: str) -> str:
    return re.sub(r"[^a-z]+", "-", name.removeprefix("test_"))[-38:].strip("-")
