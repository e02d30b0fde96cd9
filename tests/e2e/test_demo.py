"""`make demo` as a newcomer runs it: the whole story of a pull request, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.processes import adopt_orphans
from stagedoor.synth.processes import descendants

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.xdist_group("whole service"), pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _adopted() -> Iterator[None]:
    """Whatever the demo might leave becomes a child of this process, which is how it would be seen."""
    adopt_orphans()
    yield
    adopt_orphans(False)


def test_the_whole_story_comes_true_and_leaves_nothing(tmp_path: Path):
    before = _children()

    demo = _start(tmp_path)
    printed, _ = demo.communicate()

    assert demo.returncode == 0, printed
    lines = printed.splitlines()
    result = json.loads(lines[-1])
    assert result["demo"] == "ok"
    assert result["left"] == 0
    assert result["runs"] >= 8  # live, changed, ten pushes (two), broken, closed (two), reopened, merged
    assert set(result["seconds"]) == {
        *("setup", "opened_to_live", "opened_to_live_warm", "push_to_new_code", "closed_to_gone")
    }
    assert all(seconds > 0 for seconds in result["seconds"].values())
    assert [line.split()[0] for line in lines if " ok " in line] == [*"12345678", "8", "8", "ok"]
    assert _children() <= before
    assert not list(tmp_path.iterdir())


def test_an_interrupted_demo_ends_everything_that_it_started(tmp_path: Path):
    before = _children()

    demo = _start(tmp_path)
    assert demo.stdout is not None
    demo.stdout.readline()  # everything has started
    time.sleep(1)
    demo.send_signal(signal.SIGTERM)
    demo.communicate()

    assert demo.returncode == 130
    assert _children() <= before
    assert not list(tmp_path.iterdir())


def test_a_step_that_fails_is_named(tmp_path: Path):
    without_node = tmp_path / "bin"
    without_node.mkdir()

    demo = _start(tmp_path, PATH=str(without_node))
    printed, _ = demo.communicate()

    assert demo.returncode == 1
    assert "Step 1 failed" in printed
    assert "'node'" in printed
    assert json.loads(printed.splitlines()[-1])["step"] == "1"


def _start(scratch: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(scratch), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _children() -> set[int]:
    return {pid for pid in descendants(os.getpid()) if not _is_zombie(pid)}


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True
