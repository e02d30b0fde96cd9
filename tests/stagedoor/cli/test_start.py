import os
import subprocess
import sys
from pathlib import Path

_DEPLOY = "import stagedoor.cli.deploying, sys; print(*sys.modules, sep='\\n')"


def _loaded_by(*words: str, folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.splitlines()}


def test_a_command_waits_for_no_library_that_it_may_not_need(tmp_path: Path):
    """Each of these would be a twentieth to a tenth of a deploy that finds nothing to do."""
    loaded = _loaded_by("-c", _DEPLOY, folder=tmp_path)
    assert {"botocore", "click"} <= loaded
    assert loaded.isdisjoint({"boto3", "s3transfer", "pydantic", "rich", "aiohttp", "watchfiles"})


def test_a_deploy_that_finds_nothing_to_do_waits_for_nothing_that_runs_programs_or_changes_stacks(tmp_path: Path):
    told = "print(*(name for name in sys.modules if name.startswith('stagedoor')), sep='\\n')"
    command = [sys.executable, "-c", f"import stagedoor.cli.deploying, sys; {told}"]
    loaded = set(subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split())
    running = {"stagedoor.synth.running", "stagedoor.synth.dependencies", "stagedoor.synth.warm"}
    changing = {"stagedoor.deploy.changing", "stagedoor.deploy.publishing.publish", "stagedoor.deploy.watch"}
    assert loaded.isdisjoint(running | changing)


_ENDING = """
import atexit, sys, threading, time
from stagedoor.cli import end_at_once
threading.Thread(target=lambda: (time.sleep(0.2), print("a thread"))).start()
atexit.register(print, "at exit")
print("a command")
end_at_once(7)
"""


def test_a_command_that_ends_at_once_does_what_there_is_still_to_do(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", _ENDING], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split("\n")) == (7, ["a command", "a thread", "at exit", ""])


def test_a_deploy_begins_its_synth_before_it_waits_for_the_aws_sdk(tmp_path: Path):
    loaded = _loaded_by("-c", "import stagedoor.cli.deploy, sys; print(*sys.modules, sep='\\n')", folder=tmp_path)
    assert loaded.isdisjoint({"botocore", "boto3", "pydantic", "rich"})


def test_help_and_version_wait_for_no_aws_sdk(tmp_path: Path):
    start = "from stagedoor.cli import stagedoor; import sys; stagedoor(['--version'], standalone_mode=False)"
    loaded = _loaded_by("-c", f"{start}; print(*sys.modules, sep='\\n')", folder=tmp_path)
    assert loaded.isdisjoint({"botocore", "boto3", "pydantic", "rich"})
