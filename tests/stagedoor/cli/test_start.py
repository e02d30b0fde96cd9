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


def test_a_deploy_begins_its_synth_before_it_waits_for_the_aws_sdk(tmp_path: Path):
    loaded = _loaded_by("-c", "import stagedoor.cli.deploy, sys; print(*sys.modules, sep='\\n')", folder=tmp_path)
    assert loaded.isdisjoint({"botocore", "boto3", "pydantic", "rich"})


def test_help_and_version_wait_for_no_aws_sdk(tmp_path: Path):
    start = "from stagedoor.cli import stagedoor; import sys; stagedoor(['--version'], standalone_mode=False)"
    loaded = _loaded_by("-c", f"{start}; print(*sys.modules, sep='\\n')", folder=tmp_path)
    assert loaded.isdisjoint({"botocore", "boto3", "pydantic", "rich"})
