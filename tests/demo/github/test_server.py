"""The local GitHub does what GitHub does, as far as the demo and the tests lean on it."""

import hashlib
import hmac
import json
import subprocess
import time
from pathlib import Path

import jwt
import pytest
import requests

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository
from tests.demo.github.conftest import Receiver
from tests.demo.github.webhook_schema import violations


def token_for(github: LocalGitHub, notes: LocalRepository, **permissions: str) -> str:
    now = int(time.time())
    credential = jwt.encode({"iss": str(github.app_id), "iat": now - 60, "exp": now + 500}, github.private_key, "RS256")
    answer = requests.post(
        f"{github.api_url}/app/installations/{github.installation_id}/access_tokens",
        json={"repository_ids": [notes.number], "permissions": permissions},
        headers={"Authorization": f"Bearer {credential}"},
        timeout=10,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def check_run(github: LocalGitHub, notes: LocalRepository, branch: str) -> int:
    wish = {"name": "Stagedoor / notes", "head_sha": notes.git.resolve(branch)}
    headers = {"Authorization": f"Bearer {token_for(github, notes, checks='write')}"}
    url = f"{github.api_url}/repos/acme/notes/check-runs"
    return int(requests.post(url, json=wish, headers=headers, timeout=10).json()["id"])


def clone(github: LocalGitHub, token: str, branch: str, into: Path) -> subprocess.CompletedProcess[str]:
    url = f"{github.web_url}/acme/notes.git".replace("://", f"://x-access-token:{token}@")
    command = ["git", "clone", "--quiet", "--depth=1", "--branch", branch, url, str(into)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"GIT_TERMINAL_PROMPT": "0"})


def tell_a_story(github: LocalGitHub, notes: LocalRepository) -> int:
    github.push(notes, "shorter", {"app.py": "answer = 2\n"})
    number = github.open_pull_request(notes, "shorter", title="Shorter")
    github.push(notes, "shorter", {"app.py": "answer = 3\n"})
    github.rerequest(notes, check_run(github, notes, "shorter"))
    github.label(notes, number, "preview")
    github.set_draft(notes, number, True)
    github.set_draft(notes, number, False)
    github.say(notes, number, "looks good")
    github.end_workflow(notes, github.begin_workflow(notes, notes.git.resolve("shorter")), {"built": b"PK"})
    github.close(notes, number)
    github.reopen(notes, number)
    github.merge(notes, number)
    github.delete_branch(notes, "shorter")
    github.suspend_installation()
    github.suspend_installation(False)
    github.remove_installation()
    return number


def test_every_webhook_is_signed_numbered_and_as_github_describes_it(
    github: LocalGitHub, notes: LocalRepository, receiver: Receiver
) -> None:
    tell_a_story(github, notes)
    github.wait_for_deliveries()
    said = []
    wrong = []
    for headers, body in receiver.got:
        signature = hmac.new(github.webhook_secret.encode(), body, hashlib.sha256).hexdigest()
        assert headers["X-Hub-Signature-256"] == f"sha256={signature}"
        payload = json.loads(body)
        event, action = headers["X-GitHub-Event"], payload.get("action")
        said.append(f"{event} {action or payload['ref']}")
        wrong += [f"{event} {action}: {violation}" for violation in violations(event, action, payload)]
    assert said == [
        "push refs/heads/shorter",
        "pull_request opened",
        "push refs/heads/shorter",
        "pull_request synchronize",
        "check_run rerequested",
        "pull_request labeled",
        "pull_request converted_to_draft",
        "pull_request ready_for_review",
        "issue_comment created",
        "workflow_run completed",
        "pull_request closed",
        "pull_request reopened",
        "push refs/heads/main",
        "pull_request closed",
        "push refs/heads/shorter",
        "delete shorter",
        "installation suspend",
        "installation unsuspend",
        "installation deleted",
    ]
    assert len({headers["X-GitHub-Delivery"] for headers, _ in receiver.got}) == len(said)
    assert [each["number"] for each in github.delivered("check_run")["check_run"]["pull_requests"]] == [1]
    assert wrong == []


def test_a_delivery_that_was_lost_can_be_sent_again(
    github: LocalGitHub, notes: LocalRepository, receiver: Receiver
) -> None:
    github.push(notes, "shorter", {"app.py": "answer = 2\n"}, deliver=False)
    github.wait_for_deliveries()
    assert receiver.got == []
    github.redeliver(github.deliveries[-1])
    github.redeliver(github.deliveries[-1])
    github.wait_for_deliveries()
    assert len({headers["X-GitHub-Delivery"] for headers, _ in receiver.got}) == 1
    assert [delivery.status for delivery in github.deliveries] == [202]


def test_git_gives_a_repository_to_its_token_and_to_no_other(
    github: LocalGitHub, notes: LocalRepository, tmp_path: Path
) -> None:
    other = github.create_repository("acme/other")
    github.push(notes, "shorter", {"app.py": "answer = 2\n", "lib/new.py": "x = 1\n"})
    assert clone(github, token_for(github, notes, contents="read"), "shorter", tmp_path / "a").returncode == 0
    assert (tmp_path / "a" / "app.py").read_text() == "answer = 2\n"
    assert (tmp_path / "a" / "lib" / "new.py").exists()
    assert not (tmp_path / "a" / "cdk.out").exists()
    assert clone(github, token_for(github, other, contents="read"), "shorter", tmp_path / "b").returncode != 0
    assert clone(github, token_for(github, notes, checks="write"), "shorter", tmp_path / "c").returncode != 0
    assert clone(github, "ghs_made_up", "shorter", tmp_path / "d").returncode != 0


def test_a_merge_is_a_real_merge(github: LocalGitHub, notes: LocalRepository) -> None:
    github.push(notes, "shorter", {"app.py": "answer = 2\n"})
    number = github.open_pull_request(notes, "shorter")
    github.push(notes, "main", {"README.md": "hello\n"})
    merged = github.merge(notes, number)
    assert notes.git.read("main", "app.py") == b"answer = 2\n"
    assert notes.git.read("main", "README.md") == b"hello\n"
    assert github.pull(notes, number)["merge_commit_sha"] == merged


@pytest.mark.parametrize(
    ("method", "path", "permissions", "status"),
    [
        ("POST", "/deployments", {"deployments": "read"}, 403),
        ("POST", "/deployments", {"deployments": "write"}, 201),
        ("GET", "/contents/app.py", {"checks": "write"}, 403),
        ("GET", "/contents/app.py?ref=main", {"contents": "read"}, 200),
        ("GET", "/contents/none.py", {"contents": "read"}, 404),
        ("GET", "/branches/none", {"contents": "read"}, 404),
        ("GET", "/deployments/1/statuses", {"deployments": "read"}, 404),
    ],
)
def test_permissions(
    github: LocalGitHub, notes: LocalRepository, method: str, path: str, permissions: dict[str, str], status: int
) -> None:
    headers = {"Authorization": f"Bearer {token_for(github, notes, **permissions)}"}
    body = {"ref": "main", "environment": "preview"} if method == "POST" else None
    answer = requests.request(
        method, f"{github.api_url}/repos/acme/notes{path}", json=body, headers=headers, timeout=10
    )
    assert answer.status_code == status


def test_an_artifact_is_given_out_by_a_storage_that_wants_no_token(github: LocalGitHub, notes: LocalRepository) -> None:
    sha = notes.git.resolve("main")
    run = github.begin_workflow(notes, sha, event="push", branch="main")
    github.end_workflow(notes, run, {"built": b"PK"})
    headers = {"Authorization": f"Bearer {token_for(github, notes, actions='read')}"}
    api = f"{github.api_url}/repos/acme/notes/actions"
    (listed,) = requests.get(f"{api}/runs?head_sha={sha}", headers=headers, timeout=10).json()["workflow_runs"]
    assert (listed["id"], listed["conclusion"]) == (run, "success")
    (artifact,) = requests.get(f"{api}/runs/{run}/artifacts", headers=headers, timeout=10).json()["artifacts"]
    asked = requests.get(artifact["archive_download_url"], headers=headers, timeout=10, allow_redirects=False)
    assert asked.status_code == 302
    assert requests.get(asked.headers["Location"], timeout=10).content == b"PK"
    assert requests.get(asked.headers["Location"], headers=headers, timeout=10).status_code == 403


def test_a_success_ends_the_others_of_its_environment_unless_they_are_transient(
    github: LocalGitHub, notes: LocalRepository
) -> None:
    headers = {"Authorization": f"Bearer {token_for(github, notes, deployments='write')}"}
    api = f"{github.api_url}/repos/acme/notes/deployments"
    for transient in (False, True, False):
        wish = {"ref": "main", "environment": "preview", "transient_environment": transient}
        made = requests.post(api, json=wish, headers=headers, timeout=10).json()
        requests.post(f"{api}/{made['id']}/statuses", json={"state": "success"}, headers=headers, timeout=10)
    assert [each["state"] for each in github.deployments(notes)] == ["success", "success", "inactive"]


def test_nothing_is_left_when_it_stops(tmp_path: Path) -> None:
    with LocalGitHub() as github:
        process, root, url = github.emulator_process, github.folder, github.api_url
        assert requests.get(f"{url}/meta", timeout=10).status_code == 200
    assert process.poll() is not None
    assert not root.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/meta", timeout=2)
