"""Which stages should be, for every kind of pull request, branch, configuration and grant."""

import pytest

from service.models import StageKind
from service.stages.wishes import (
    BranchFacts,
    GrantView,
    PullFacts,
    RepositoryView,
    wishes_for_branch,
    wishes_for_pull,
)
from stagedoor.config import ConfigInvalid, default_config, parse_config
from stagedoor.target import Trust

LOCAL = GrantView(1, "local", Trust.PREVIEW, "*", "*", "*")
OTHER = GrantView(2, "other", Trust.PREVIEW, "acme/*", "*", "pr-*")
LIVE = GrantView(3, "live", Trust.PRODUCTION, "acme/notes", "*", "*")


def pull(**facts):
    return PullFacts(
        **{"number": 7, "open": True, "draft": False, "labels": (), "head_sha": "a" * 40, "from_fork": False, **facts}
    )


def repository(toml=None, grants=(LOCAL,), existing=frozenset()):
    config = default_config(True) if toml is None else parse_config(toml)
    return RepositoryView("acme/notes", config, tuple(grants), existing)


def stages(wishes):
    return [(wish.app, wish.stage, wish.target_id) for wish in wishes.stages]


def test_an_open_pull_request_wishes_a_preview_of_its_head():
    wishes = wishes_for_pull(repository(), pull())
    assert stages(wishes) == [("notes", "pr-7", 1)]
    assert wishes.stages[0].kind is StageKind.PREVIEW
    assert wishes.stages[0].commit == "a" * 40
    assert wishes.stages[0].environment == "preview"


@pytest.mark.parametrize("facts", [{"open": False}, {"from_fork": True}])
def test_closed_ones_and_forks_get_none(facts):
    wishes = wishes_for_pull(repository(), pull(**facts))
    assert not wishes.stages
    assert not wishes.keep_others


def test_a_fork_is_told_why():
    assert wishes_for_pull(repository(), pull(from_fork=True)).note.id == "fork"


def test_drafts_and_labels_are_asked_for_by_the_configuration():
    toml = '[previews]\ndrafts = false\nlabels = ["preview"]\n'
    assert wishes_for_pull(repository(toml), pull(labels=("preview",))).stages
    assert wishes_for_pull(repository(toml), pull(labels=("preview",), draft=True)).note.id == "draft"
    assert wishes_for_pull(repository(toml), pull()).note.id == "label"


def test_a_wrong_configuration_leaves_what_is_live_and_says_where_it_is_wrong():
    with pytest.raises(ConfigInvalid) as error:
        parse_config("[previews]\nenabled = 3\n")
    view = RepositoryView("acme/notes", error.value, (LOCAL,))
    wishes = wishes_for_pull(view, pull())
    assert wishes.keep_others
    assert wishes.note.errors[0]["line"] == 2


def test_a_repository_without_an_app_is_silent():
    wishes = wishes_for_pull(RepositoryView("acme/notes", None, (LOCAL,)), pull())
    assert wishes.note is None
    assert not wishes.stages


def test_an_app_that_a_pull_request_does_not_touch_gets_no_stage_unless_it_has_one():
    toml = '[apps.web]\npath = "web"\n[apps.api]\npath = "api"\n'
    facts = pull(changed_paths=["web/app.py", "README.md"])
    assert [wish.app for wish in wishes_for_pull(repository(toml), facts).stages] == ["web"]
    kept = repository(toml, existing=frozenset({"api"}))
    assert [wish.app for wish in wishes_for_pull(kept, facts).stages] == ["web", "api"]


def test_without_a_grant_nothing_is_deployed():
    assert wishes_for_pull(repository(grants=()), pull()).note.id == "no-grant"


def test_of_several_targets_one_must_be_named_and_granted():
    grants = (LOCAL, OTHER)
    assert wishes_for_pull(repository(grants=grants), pull()).note.id == "target-ambiguous"
    named = repository('[stages."pr-*"]\ntarget = "other"\n', grants)
    assert stages(wishes_for_pull(named, pull())) == [("notes", "pr-7", 2)]
    foreign = repository('[stages."pr-*"]\ntarget = "theirs"\n', grants)
    assert wishes_for_pull(foreign, pull()).note.id == "target-not-granted"


def test_a_pull_request_never_reaches_a_production_target():
    named = repository('[stages."*"]\ntarget = "live"\n', (LIVE,))
    assert wishes_for_pull(named, pull()).note.id == "target-not-granted"
    assert not wishes_for_pull(repository(grants=(LIVE,)), pull()).stages


def test_grants_are_matched_by_repository_app_and_stage():
    elsewhere = GrantView(4, "elsewhere", Trust.PREVIEW, "umbrella/*", "*", "*")
    other_app = GrantView(5, "other-app", Trust.PREVIEW, "*", "billing", "*")
    assert stages(wishes_for_pull(repository(grants=(elsewhere, other_app, LOCAL)), pull()))[0][2] == 1


def test_a_branch_that_a_rule_names_gets_a_stage_and_others_get_none():
    view = repository('[previews]\nbranches = ["main", "release/*"]\n', (LIVE,))
    assert stages(wishes_for_branch(view, BranchFacts("main", "b" * 40))) == [("notes", "main", 3)]
    assert wishes_for_branch(view, BranchFacts("release/1", "b" * 40)).stages[0].stage.startswith("release-1-")
    assert not wishes_for_branch(view, BranchFacts("topic", "b" * 40)).stages
    assert not wishes_for_branch(view, BranchFacts("main", None)).stages


def test_the_digest_tells_settings_apart_that_change_a_deploy():
    plain = wishes_for_pull(repository(), pull()).stages[0]
    other = wishes_for_pull(repository('[apps.notes]\ncommand = "python other.py"\n'), pull()).stages[0]
    assert plain.digest != other.digest
