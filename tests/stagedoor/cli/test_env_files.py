"""`.env` files: layered by stage, told to the app's program, part of what decides an assembly."""

import subprocess
from pathlib import Path

import pytest

from stagedoor.errors import UserError
from stagedoor.synth.env_files import InvalidEnvFile, read_env_files
from tests.stagedoor.cli.bound_app import bound_app
from tests.stagedoor.cli.command import Command


def test_later_files_win_and_the_environment_over_all(tmp_path: Path):
    (tmp_path / ".env").write_text(
        "# of all\nexport HOST=example.com\nURL='https://${HOST}/'\nA=1\nB=1\nC=1\nD=1\nE=1\n"
    )
    (tmp_path / ".env.local").write_text("B=2\nC=2\nD=2\nE=2\n")
    (tmp_path / ".env.dev").write_text("C=3\nD=3\nE=3\nA=${A}${NOBODY:-!}${SECRET}\n")
    (tmp_path / ".env.dev.local").write_text("D=4\nE=4\n")
    (tmp_path / ".env.prod").write_text("A=9\n")
    found = read_env_files(tmp_path, tmp_path, "dev", {"E": "5", "SECRET": "nobody's business", "F": "6"})
    assert found.pop("URL") == "https://example.com/"
    assert found == {"HOST": "example.com", "A": "1!", "B": "2", "C": "3", "D": "4", "E": "5"}
    assert read_env_files(tmp_path, tmp_path, "prod", {})["A"] == "9"


def test_what_is_no_line_and_what_is_no_file_of_the_repository(tmp_path: Path):
    (tmp_path / ".env").write_text("A=1\nthis is not one\n")
    with pytest.raises(InvalidEnvFile) as told:
        read_env_files(tmp_path, tmp_path, "dev", {})
    assert told.value.location
    assert (told.value.location.path, told.value.location.line) == (".env", 2)
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match=r"\.env is not an ordinary file of the repository"):
        read_env_files(tmp_path, tmp_path, "dev", {})


def test_told_to_the_program_whose_assembly_changes_with_them(tmp_path: Path):
    cache = str(tmp_path / "cache")  # in which no earlier run of this test has left its assembly
    stagedoor = Command(
        bound_app(tmp_path / "tiny"), {"AWS_EC2_METADATA_DISABLED": "true", "STAGEDOOR_CACHE_DIR": cache}
    )
    (stagedoor.folder / ".env").write_text("GREETING=hello\nPATH=/nowhere\nSTAGEDOOR_STAGE=prod\n")
    assert greeting(stagedoor("types", "--verbose")) == "hello"
    assert greeting(stagedoor("types", "--verbose")) == ""  # nothing has changed: it is not run again
    assert greeting(stagedoor.at(stagedoor.folder, GREETING="of the shell")("types", "--verbose")) == "of the shell"


def greeting(done: subprocess.CompletedProcess[str]) -> str:
    """Return what the program said it was told."""
    assert done.returncode == 0, done.stderr
    return done.stderr.partition("the greeting is ")[2].partition("\n")[0]
