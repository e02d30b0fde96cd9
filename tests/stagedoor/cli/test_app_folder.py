"""Which app is meant, and who owns its stages."""

import subprocess
from pathlib import Path

import pytest

from stagedoor.cli.app_folder import (
    NoApp,
    Repository,
    RepositoryUnreadable,
    SeveralApps,
    UnknownApp,
    find_app,
    find_app_of_stage,
)
from stagedoor.cli.stage import stage_identity
from stagedoor.config import ConfigInvalid
from stagedoor.naming import is_lasting


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/Acme/Notes.git",
        "https://somebody:token@github.com/acme/notes",
        "ssh://git@github.com:22/acme/notes.git",
        "git@github.com:acme/notes.git",
    ],
)
def test_all_clones_of_a_repository_own_the_same_stages(url: str):
    assert Repository(Path("/anywhere"), url).id == "local/github.com/acme/notes"


@pytest.mark.parametrize("url", [None, "/srv/git/notes.git", "../notes.git", "file:///srv/git/notes.git"])
def test_without_a_host_the_folder_does(url: str | None):
    assert Repository(Path("/home/somebody/notes"), url).id == "local/notes"


def test_an_owner_fits_into_a_tag():
    owner = Repository(Path("/x"), "https://host/a b/ü&\N{SNOWMAN}/" + "n" * 300).id
    assert owner.startswith("local/host/a_b/ü__/n")
    assert len(owner) == 256


def repository(root: Path, toml: str = "", *apps: str) -> Path:
    for app in apps:
        (root / app).mkdir(parents=True, exist_ok=True)
        (root / app / "cdk.json").write_text("{}")
    (root / "stagedoor.toml").write_text(toml)
    subprocess.run(["git", "init", "--quiet", root], check=True)
    subprocess.run(["git", "-C", root, "remote", "add", "origin", "git@host:acme/shop.git"], check=True)
    return root.resolve()


def test_an_app_at_the_root_is_named_after_the_repository(tmp_path: Path):
    root = repository(tmp_path, "", ".")
    app = find_app(root)
    assert (app.name, app.path) == ("shop", root)
    assert stage_identity(app, "dev").prefix.startswith("shop-dev-")


def test_an_app_below_it_is_named_after_its_folder(tmp_path: Path):
    root = repository(tmp_path, "", "web_app")
    assert find_app(root / "web_app").name == "web-app"
    assert find_app(root, "web_app").path == root / "web_app"
    with pytest.raises(NoApp):
        find_app(root)


def test_an_app_of_the_file_is_found_by_name_by_folder_and_from_within(tmp_path: Path):
    root = repository(tmp_path, "[apps.front]\npath = 'web'\n[apps.back]\npath = 'api'\n", "web", "api", "web/tool")
    (root / "web" / "src").mkdir()
    assert find_app(root, "back").path == root / "api"
    assert find_app(root, "api").name == "back"
    assert find_app(root / "web" / "src").name == "front"
    assert find_app(root / "web" / "tool").name == "tool"
    with pytest.raises(SeveralApps, match="back, front"):
        find_app(root)
    with pytest.raises(UnknownApp, match="back, front"):
        find_app(root, "middle")


def test_a_repository_that_git_does_not_read_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = repository(tmp_path, "", ".")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "true")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    with pytest.raises(RepositoryUnreadable, match="does not tell"):
        find_app(root)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RepositoryUnreadable):
        find_app(root)


def test_the_app_of_a_stage_that_is_to_go_need_not_be_there(tmp_path: Path):
    root = repository(tmp_path, "[apps.front]\npath = 'web'\n", "web")
    (root / "web" / "cdk.json").unlink()
    with pytest.raises(NoApp):
        find_app(root)
    assert find_app_of_stage(root).name == "front"
    assert find_app_of_stage(root, "back").name == "back"
    assert find_app_of_stage(root, "services/back_end").name == "back-end"
    (root / "stagedoor.toml").write_text("[apps.front")
    assert find_app_of_stage(root, "front").name == "front"
    with pytest.raises(ConfigInvalid):
        find_app_of_stage(root)


def test_the_only_app_of_the_file_is_meant_from_anywhere(tmp_path: Path):
    root = repository(tmp_path, "[apps.front]\npath = 'web'\ncommand = 'make synth'\n", "web")
    app = find_app(root)
    assert (app.name, app.command) == ("front", "make synth")


@pytest.mark.parametrize("stage", ["prod", "production", "prod-eu", "staging", "main", "master"])
def test_stages_that_are_to_last(stage: str):
    assert is_lasting(stage)


@pytest.mark.parametrize("stage", ["dev", "pr-1", "products", "mainly", "my-prod"])
def test_stages_that_are_not(stage: str):
    assert not is_lasting(stage)
