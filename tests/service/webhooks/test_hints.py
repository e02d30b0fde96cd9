"""What payloads mean, and that none can make the reader fall over."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.webhooks.hints import (
    AccountRenamed,
    BranchDeleted,
    BranchPushed,
    Ignored,
    InstallationChanged,
    InstallationState,
    PullRequestTouched,
    RepositoriesChanged,
    RepositoryChanged,
    RerunRequested,
    hint_of,
)
from tests.service.webhooks.deliveries import example

OF_INTEREST = ["pull_request", "push", "delete", "installation", "installation_repositories", "installation_target"]
OF_INTEREST += ["repository", "check_run", "check_suite"]
KEYS = [
    "action",
    "id",
    "number",
    "ref",
    "ref_type",
    "deleted",
    "full_name",
    "default_branch",
    "pull_request",
    "changes",
]
KEYS += ["repository", "installation", "account", "login", "from", "base", "repositories", "repositories_added", "repo"]
KEYS += ["check_run", "check_suite", "pull_requests", "head_branch", "head_sha"]
WORDS = [
    "opened",
    "edited",
    "created",
    "renamed",
    "rerequested",
    "branch",
    "refs/heads/main",
    "refs/heads/",
    "acme/notes",
]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(WORDS)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
)


def test_a_push_to_a_branch_a_deleted_branch_and_a_tag():
    push = example("push", ref="refs/heads/master")

    assert isinstance(pushed := hint_of("push", push), BranchPushed)
    assert pushed.branch == "master"
    assert isinstance(hint_of("push", push | {"deleted": True}), BranchDeleted)
    assert isinstance(hint_of("push", push | {"ref": "refs/tags/v1"}), Ignored)
    deleted = hint_of("delete", example("delete") | {"ref_type": "branch", "ref": "feature/x"})
    assert isinstance(deleted, BranchDeleted)
    assert deleted.branch == "feature/x"


def test_an_edited_pull_request_matters_when_its_base_is_another():
    edited = example("pull_request", "opened") | {"action": "edited"}

    assert isinstance(hint_of("pull_request", edited | {"changes": {"title": {"from": "x"}}}), Ignored)
    assert isinstance(hint_of("pull_request", edited | {"changes": {"base": {"ref": {}}}}), PullRequestTouched)


def test_installations_and_their_repositories():
    created = hint_of("installation", example("installation", "created"))
    assert isinstance(created, InstallationChanged)
    assert created.state is InstallationState.CREATED
    assert [repository.full_name for repository in created.repositories] == ["Codertocat/Hello-World"]

    removed = hint_of("installation_repositories", example("installation_repositories", "removed"))
    assert isinstance(removed, RepositoriesChanged)
    assert (len(removed.added), len(removed.removed)) == (0, 1)

    renamed = hint_of(
        "installation_target",
        {
            "action": "renamed",
            "account": {"id": 1, "login": "acme-corp"},
            "changes": {"login": {"from": "acme"}},
            "installation": {"id": 7},
            "target_type": "Organization",
        },
    )
    assert isinstance(renamed, AccountRenamed)
    assert (renamed.old_account, renamed.installation.account) == ("acme", "acme-corp")


def test_repositories_that_are_renamed_transferred_or_get_another_default_branch():
    for action in ("renamed", "transferred"):
        assert isinstance(hint_of("repository", example("repository", action)), RepositoryChanged)
    edited = example("repository", "edited")
    assert isinstance(hint_of("repository", edited | {"changes": {"default_branch": {}}}), RepositoryChanged)
    assert isinstance(hint_of("repository", edited | {"changes": {"description": {}}}), Ignored)
    deleted = hint_of("repository", edited | {"action": "deleted"})
    assert isinstance(deleted, RepositoryChanged)
    assert deleted.is_gone


def test_a_rerun_names_only_the_pull_requests_of_its_own_repository():
    payload = example("check_run", "rerequested")
    own = {"number": 7, "base": {"repo": {"id": payload["repository"]["id"]}}}
    payload["check_run"]["pull_requests"] = [own, {"number": 8, "base": {"repo": {"id": 1}}}]

    rerun = hint_of("check_run", payload)

    assert isinstance(rerun, RerunRequested)
    assert rerun.pull_requests == (7,)
    assert rerun.check_run_id == payload["check_run"]["id"]
    assert rerun.head_sha == payload["check_run"]["head_sha"]


def test_what_a_database_could_not_store_is_ignored_with_the_reason():
    opened = example("pull_request", "opened")
    for name in ("acme/no\0tes", "acme/\ud800", "acme/" + "x" * 300, ""):
        hint = hint_of("pull_request", opened | {"repository": opened["repository"] | {"full_name": name}})
        assert str(hint) == "ignored: pull_request with no usable full_name"
    for number in (2**63, 0, -1, True, "2", 2.0, None):
        hint = hint_of("pull_request", opened | {"pull_request": {"number": number}})
        assert str(hint) == "ignored: pull_request with no usable number"


@given(st.sampled_from(OF_INTEREST), st.dictionaries(st.sampled_from(KEYS), JSON))
@settings(max_examples=100, deadline=None)
def test_no_payload_is_an_error(event, payload):
    assert isinstance(str(hint_of(event, payload)), str)
