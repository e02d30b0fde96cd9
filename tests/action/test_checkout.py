"""What is checked out may be another commit than is said, a folder of a checkout, or no repository at all."""

import subprocess
from pathlib import Path

from action.checkout import commit_at
from tests.action.apps import put_app


def committed(folder: Path) -> str:
    """Make a folder a repository, and return its only commit."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_commit_is_read_where_it_is_plain(tmp_path: Path):
    assert commit_at(tmp_path) == ""
    (tmp_path / "file").touch()
    commit = committed(tmp_path)
    assert commit_at(tmp_path) == commit
    subprocess.run(["git", "checkout", "-q", "--detach"], cwd=tmp_path, check=True)
    assert commit_at(tmp_path) == commit
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/../../secret\n")
    assert commit_at(tmp_path) == ""


def test_a_merge_is_not_told_for_the_pull_requests_head(job):
    here = job()
    put_app(here.workspace)
    merge = committed(here.workspace)
    assert here.use(synth="runner"), here.log
    [(level, where, said)] = here.heard.annotations
    assert (level, where["title"]) == ("warning", "Stagedoor: other-commit")
    assert f"what is checked out is {merge[:7]}" in said


def test_a_folder_inside_of_a_checkout_is_an_app(job):
    here = job()
    put_app(here.workspace / "infra")
    committed(here.workspace)
    assert not here.use(synth="runner", working_directory="infra")
    assert here.errors == [
        "The input `working-directory` is 'infra'. Name the checkout's own, '.', and this one by `app`."
    ]
    assert here.use(synth="runner", app="infra"), here.log


def test_a_folder_that_git_does_not_know_has_no_owner(job):
    here = job()
    put_app(here.workspace)
    assert not here.use(github_token="")
    assert here.errors[0].startswith("git finds no repository with a remote in workspace")
