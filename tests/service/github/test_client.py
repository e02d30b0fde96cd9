"""What GitHub says of pull requests, branches and files, and with which tokens it is asked."""

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from service.github.app_tokens import AppTokens, Scope, app_jwt
from service.github.client import FETCH_PERMISSIONS, RepositoryClient
from service.github.errors import GitHubUnavailable, InstallationGone
from stagedoor.config import ConfigInvalid, parse_config
from tests.service.github.recorder import DROP_ANSWER, Fault
from tests.service.github.story import Story


@pytest.fixture
def client(story: Story) -> RepositoryClient:
    return story.clients.for_repository(story.repository())


def test_a_pull_request_as_it_is_now(story: Story, client: RepositoryClient) -> None:
    story.github.label(story.notes, story.number, "preview")
    pull = client.pull(story.number)
    assert pull is not None
    assert (pull.number, pull.title, pull.open, pull.merged, pull.draft) == (
        story.number,
        "Shorter",
        True,
        False,
        False,
    )
    assert pull.labels == ("preview",)
    assert (pull.head_ref, pull.head_sha) == ("shorter", story.commit)
    assert (pull.base_ref, pull.base_sha) == ("main", story.notes.git.resolve("main"))
    assert pull.head_repository_id == story.notes.number
    assert pull.author == "mona"
    assert [str(call) for call in story.recorder.calls] == [
        "POST /app/installations/815/access_tokens",
        f"GET /repos/{story.notes.full_name}/pulls/{story.number}",
    ]


def test_a_pull_request_that_was_closed_merged_or_never_there(story: Story, client: RepositoryClient) -> None:
    story.github.close(story.notes, story.number)
    closed = client.pull(story.number)
    assert closed is not None
    assert (closed.open, closed.merged) == (False, False)
    story.github.reopen(story.notes, story.number)
    story.github.merge(story.notes, story.number)
    merged = client.pull(story.number)
    assert merged is not None
    assert (merged.open, merged.merged) == (False, True)
    assert client.pull(4040) is None


def test_a_pull_request_from_a_fork(story: Story, client: RepositoryClient) -> None:
    fork = story.github.fork(story.notes, "stranger")
    fork.git.commit("patch", {"app.py": "answer = 3\n"}, "Patch", start="main")
    number = story.github.open_pull_request(story.notes, "patch", fork=fork)
    pull = client.pull(number)
    assert pull is not None
    assert pull.head_repository_id == fork.number != story.notes.number


def test_branches_and_files_are_those_of_git(story: Story, client: RepositoryClient) -> None:
    branch = client.branch("shorter")
    assert branch is not None
    assert branch.sha == story.commit
    assert client.branch("feature/none") is None
    story.github.push(story.notes, "feature/a+b", {"a.txt": "x"})
    assert client.branch("feature/a+b") is not None
    assert client.file("app.py", "main") == b"answer = 1\n"
    assert client.file("app.py", story.commit) == b"answer = 2\n"
    assert client.file("none.toml", "main") is None
    assert client.file("app.py", "no-such-branch") is None


def test_a_file_that_is_too_large_to_be_sent_is_there_and_is_no_configuration(
    story: Story, client: RepositoryClient
) -> None:
    large = {"type": "file", "encoding": "none", "content": "", "size": 2_000_000, "path": "cdk.json"}
    story.recorder.faults.append(Fault("GET", "/contents/cdk.json", 200, body=json.dumps(large).encode()))
    text = client.file("cdk.json", "main")
    assert text is not None
    with pytest.raises(ConfigInvalid):
        parse_config(text, "stagedoor.toml")


def test_the_paths_that_a_pull_request_changes(story: Story, client: RepositoryClient) -> None:
    story.push({f"many/{number}.txt": "x" for number in range(120)} | {"infra/stack.py": None})
    paths = client.changed_paths(story.number)
    assert paths is not None
    assert len(paths) == 122
    assert {"app.py", "infra/stack.py", "many/119.txt"} <= set(paths)


def test_the_token_for_fetching_reads_one_repository_and_nothing_else(story: Story, client: RepositoryClient) -> None:
    token = client.fetch_token()
    access = story.github.access_of(token)
    assert access.repositories == frozenset({story.notes.number})
    assert access.permissions == {"contents": "read", "metadata": "read"}


@pytest.mark.parametrize("how", [502, 503, DROP_ANSWER])
def test_a_question_is_repeated_when_github_stumbles(story: Story, client: RepositoryClient, how: Any) -> None:
    story.recorder.faults.append(Fault("GET", f"/pulls/{story.number}", how))
    assert client.pull(story.number) is not None


def test_a_github_that_does_not_answer_is_unavailable(story: Story, client: RepositoryClient) -> None:
    story.recorder.faults.append(Fault("POST", "/access_tokens", 503))
    with pytest.raises(GitHubUnavailable):
        client.pull(story.number)


def test_too_many_requests_names_the_time_and_does_not_sleep(story: Story, client: RepositoryClient) -> None:
    client.fetch_token()
    story.recorder.faults.append(Fault("GET", f"/pulls/{story.number}", 429, headers={"Retry-After": "120"}))
    begun = time.monotonic()
    with pytest.raises(GitHubUnavailable) as limit:
        client.pull(story.number)
    assert limit.value.retry_at is not None
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("gone", ["suspended", "removed"])
def test_an_installation_that_is_gone_is_named(story: Story, client: RepositoryClient, gone: str) -> None:
    assert client.pull(story.number) is not None
    with story.github.installation(gone), pytest.raises(InstallationGone):
        client.pull(story.number)
    assert client.pull(story.number) is not None


def test_a_repository_that_the_app_was_taken_from(story: Story) -> None:
    repository = story.repository()
    repository.installation = None
    with pytest.raises(InstallationGone):
        story.clients.for_repository(repository)


def test_tokens_are_kept_until_shortly_before_they_expire(story: Story) -> None:
    now = [time.time()]
    tokens = AppTokens(story.github.app_id, story.github.private_key, lambda: now[0])
    scope = Scope.of(story.recorder.url, story.github.installation_id, story.notes.number, FETCH_PERMISSIONS)
    first = tokens.token(scope)
    now[0] += 54 * 60
    assert tokens.token(scope) == first
    now[0] += 2 * 60
    assert tokens.token(scope) != first


def test_the_apps_own_credential_lasts_less_than_ten_minutes(story: Story) -> None:
    key = load_pem_private_key(story.github.private_key.encode(), None).public_key()
    token = app_jwt(4711, story.github.private_key, time.time())
    claims = jwt.decode(token, key, algorithms=["RS256"])  # type: ignore[arg-type]
    assert claims["iss"] == "4711"
    assert claims["iat"] <= time.time() - 59
    assert time.time() < claims["exp"] <= time.time() + 600
