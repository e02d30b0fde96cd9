"""`stagedoor doctor` names what is wrong, with its remedy."""

from datetime import UTC, datetime
from pathlib import Path

from stagedoor.cli.account_checks import clock_check
from tests.stagedoor.cli.command import Command


def test_what_is_wrong_and_what_puts_it_right(stagedoor: Command, tmp_path: Path):
    healthy = stagedoor.at(stagedoor.folder, STAGEDOOR_CACHE_DIR=str(tmp_path / "cache"))
    first = healthy("doctor")
    assert first.returncode == 1
    assert "no  bootstrap" in first.stdout
    assert "Run `stagedoor bootstrap` once" in first.stdout
    assert "bootstrap to be put right." in first.stderr
    healthy("bootstrap")
    (stagedoor.folder / "pyproject.toml").write_text('[project]\nname = "tiny"\nversion = "1"\n')
    again = healthy("doctor")
    assert again.returncode == 0, again.stdout
    assert "!   lock files" in again.stdout
    assert "Run `uv lock`, and commit the uv.lock." in again.stdout


def test_what_is_not_there(stagedoor: Command, tmp_path: Path):
    (tmp_path / "file").touch()
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    poor = stagedoor.at(tmp_path, PATH="/nowhere", STAGEDOOR_CACHE_DIR=str(tmp_path / "file"), **nobody)
    found = {check["name"]: check for check in poor.result("doctor")["checks"]}  # in a folder without an app
    assert {name for name, check in found.items() if check["health"] == "bad"} == {"Node", "credentials", "cache"}
    assert found["Node"]["remedy"].startswith("Install Node 20 or newer")
    assert found["credentials"]["remedy"].startswith("Sign in with `aws sso login`")


def test_a_clock_that_is_off():
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": "Sun, 29 Nov 2026 17:00:00 GMT"}}}
    assert clock_check(answer, datetime(2026, 11, 29, 17, 4, tzinfo=UTC)).said == "agrees with AWS"
    assert clock_check(answer, datetime(2026, 11, 29, 16, 50, tzinfo=UTC)).said == "This machine is 600 s behind AWS."
