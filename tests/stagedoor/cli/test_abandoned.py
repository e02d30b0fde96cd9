"""What a command leaves where it was killed, and what it does when nobody listens."""

import subprocess
from pathlib import Path

from tests.stagedoor.cli.command import Command


def folders(cache: Path) -> list[Path]:
    return sorted(cache.glob("deploy-*"))


def test_the_folder_of_a_killed_deploy_goes_with_the_next_one_and_that_of_a_living_one_stays(
    stagedoor: Command, tmp_path: Path
):
    cache = tmp_path / "cache"
    here = stagedoor.at(stagedoor.folder, STAGEDOOR_CACHE_DIR=str(cache))
    program = (stagedoor.folder / "app.py").read_text()
    (stagedoor.folder / "app.py").write_text("import time; print('thinking', flush=True); time.sleep(60)")
    killed = begun(here)
    (left,) = folders(cache)
    living = begun(here)
    killed.kill()
    killed.communicate()
    (stagedoor.folder / "app.py").write_text(program)
    assert here.result("deploy", "--stage", "dev")["ok"]
    assert left not in folders(cache)
    assert len(folders(cache)) == 1
    living.terminate()
    living.communicate(timeout=20)
    assert folders(cache) == []


def begun(stagedoor: Command) -> subprocess.Popen[str]:
    process = stagedoor.start("deploy", "--stage", "dev", "--verbose")
    assert process.stderr
    assert any("thinking" in line for line in process.stderr)
    return process


def test_a_deploy_goes_on_when_nobody_reads_what_it_prints(stagedoor: Command):
    for words in (["--json"], []):
        process = stagedoor.start("deploy", "--stage", "dev", *words)
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stderr.close()
        assert process.wait(60) == 0
    assert stagedoor.result("deploy", "--stage", "dev")["unchanged"]


def test_a_help_that_nobody_reads_is_no_error_of_ours(stagedoor: Command):
    process = stagedoor.start("--help")
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert "internal" not in process.stderr.read()
    assert process.wait(20) == 1
