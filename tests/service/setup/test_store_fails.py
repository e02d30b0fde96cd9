"""What keeps the credentials from being kept is said at once, and nothing that was there is lost by it."""

import shutil
import stat

import pytest

from service.setup.stores import Files, StoreUnusable
from tests.service.setup.test_setup import Browser, github, setup

__all__ = ["github"]

VALUES = {"STAGEDOOR_GITHUB_APP_ID": "7", "STAGEDOOR_GITHUB_PRIVATE_KEY": "-----BEGIN-----\nnew\n-----END-----\n"}


def test_a_store_that_fails_when_the_app_is_there_ends_the_command_and_says_what_is_left(github, tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    options = ("--github", github.web_url, "--store", str(folder / "stagedoor.env"))
    with setup(github, tmp_path, *options) as (process, page):
        browser = Browser()
        back = browser.press_create(page)
        shutil.rmtree(folder)
        status, _, shown = browser.get(back)
        said, complaints = process.communicate(timeout=20)
    assert (status, process.returncode) == (502, 1)
    for text in (shown, complaints):
        assert "could not be kept" in text
        assert f"{github.web_url}/apps/stagedoor" in text
    assert github.private_key.splitlines()[1] not in f"{shown}{said}{complaints}"
    assert github.webhook_secret not in f"{shown}{said}{complaints}"


@pytest.mark.parametrize("name", ["stagedoor.pem", ""])
def test_a_place_that_cannot_hold_two_files_is_refused_before_github_is_asked(tmp_path, name):
    for replace in (False, True):
        with pytest.raises(StoreUnusable):
            Files(tmp_path / name, replace=replace).check()


def test_what_is_there_stays_as_it_is_until_all_of_the_new_is_written(tmp_path):
    store, key = tmp_path / "stagedoor.env", tmp_path / "stagedoor.pem"
    store.write_text("STAGEDOOR_GITHUB_APP_ID=1\n")
    key.write_text("old key")
    broken = {
        **VALUES,
        "STAGEDOOR_CONSOLE_PASSWORD": "\ud800",
    }  # as a full disk does it: when the second file is written
    with pytest.raises(UnicodeEncodeError):
        Files(store, replace=True).put(broken)
    assert (store.read_text(), key.read_text()) == ("STAGEDOOR_GITHUB_APP_ID=1\n", "old key")
    assert sorted(tmp_path.iterdir()) == [store, key]

    Files(store, replace=True).put(VALUES)
    assert key.read_text() == VALUES["STAGEDOOR_GITHUB_PRIVATE_KEY"]
    assert store.read_text() == f"STAGEDOOR_GITHUB_APP_ID=7\nSTAGEDOOR_GITHUB_PRIVATE_KEY_FILE={key}\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (store, key)} == {0o600}
    assert sorted(tmp_path.iterdir()) == [store, key]


def test_a_file_that_somebody_made_meanwhile_is_not_overwritten(tmp_path):
    store, key = tmp_path / "stagedoor.env", tmp_path / "stagedoor.pem"
    store.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnusable):
        Files(store, replace=False).put(VALUES)
    assert store.is_symlink()
    assert not key.exists()
    assert not (tmp_path / "elsewhere").exists()
