"""Processes die and freeze in the middle of a deploy, and the next one goes on: on the scripted CloudFormation."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloudformation.account import ScriptedAccount
from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.deploy.worker import deploy_pair

BASE, WEB = "shop-pr-1-abc123-Base", "shop-pr-1-abc123-Web"


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedCloudFormation]:
    with ScriptedCloudFormation(ScriptedAccount(seconds=0.1)) as endpoint:
        for name, value in endpoint.environment().items():
            monkeypatch.setenv(name, value)
        yield endpoint


class Worker:
    """A deploy in a process of its own."""

    def __init__(self, directory: Path, run: str, value: str) -> None:
        command = [sys.executable, "-m", "tests.stagedoor.deploy.worker", str(directory), run, value]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.communicate()

    def end(self) -> str:
        return self.process.communicate(timeout=30)[1]


def value_of(aws: ScriptedCloudFormation, name: str) -> str:
    return str(json.loads(aws.account.find(name).template)["Resources"]["Value"]["Properties"]["Value"])


def executions(aws: ScriptedCloudFormation) -> int:
    return len(aws.changes("ExecuteChangeSet"))


def test_a_worker_killed_in_the_middle_of_an_update_is_joined(aws: ScriptedCloudFormation, tmp_path: Path):
    deploy_pair(tmp_path, "before", "1")
    aws.account.held.add(WEB)
    worker = Worker(tmp_path, "killed", "2")
    aws.await_call("ExecuteChangeSet", 4)
    worker.kill()
    seen: list[str] = []

    def release(event: object) -> None:
        seen.append(str(event))
        if aws.account.find(WEB).status == "UPDATE_IN_PROGRESS" and any(WEB in one for one in seen):
            aws.account.held.clear()

    deploy_pair(tmp_path, "next", "2", release)
    assert value_of(aws, WEB) == "2"
    assert executions(aws) == 4  # one creation and one update of each stack


@pytest.mark.parametrize("action", ["CreateChangeSet", "ExecuteChangeSet"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_killed_around_a_call_leaves_one_creation_of_each_stack(
    aws: ScriptedCloudFormation, tmp_path: Path, action: str, after: bool
):
    gate = aws.gate(action, after=after)
    worker = Worker(tmp_path, "killed", "1")
    gate.wait()
    worker.kill()
    if after:
        gate.opened.set()
    deploy_pair(tmp_path, "next", "1")
    assert value_of(aws, WEB) == "1"
    assert executions(aws) == 2
    # The dead worker's call arrives late: it finds nothing that it could change.
    gate.opened.set()
    assert [aws.account.find(name).status for name in (BASE, WEB)] == ["CREATE_COMPLETE"] * 2


def test_a_frozen_predecessor_finds_its_change_set_gone(aws: ScriptedCloudFormation, tmp_path: Path):
    deploy_pair(tmp_path, "before", "1")
    gate = aws.gate("ExecuteChangeSet")
    frozen = Worker(tmp_path, "frozen", "old")
    gate.wait()  # its last question whether it still holds the stage is behind it
    frozen.signal(signal.SIGSTOP)
    deploy_pair(tmp_path, "next", "new")
    (tmp_path / "lost-frozen").touch()
    gate.opened.set()
    frozen.signal(signal.SIGCONT)
    assert "LeaseLost" in frozen.end()
    assert [value_of(aws, name) for name in (BASE, WEB)] == ["new", "new"]
    assert value_of(aws, BASE) == "new"


def test_a_change_set_made_obsolete_by_hand_is_made_anew(aws: ScriptedCloudFormation, tmp_path: Path):
    deploy_pair(tmp_path, "before", "1")
    gate = aws.gate("ExecuteChangeSet")
    worker = Worker(tmp_path, "worker", "2")
    gate.wait()
    aws.account.update_by_hand(BASE, {"Resources": {}})
    gate.opened.set()
    assert worker.end() == ""
    assert [value_of(aws, name) for name in (BASE, WEB)] == ["2", "2"]


def test_a_frozen_predecessor_changes_nothing_even_if_its_successor_had_nothing_to_do(
    aws: ScriptedCloudFormation, tmp_path: Path
):
    deploy_pair(tmp_path, "before", "1")
    gate = aws.gate("ExecuteChangeSet")
    frozen = Worker(tmp_path, "frozen", "old")
    gate.wait()
    frozen.signal(signal.SIGSTOP)
    assert not aws.changes("DeleteChangeSet")
    deploy_pair(tmp_path, "next", "1")
    (tmp_path / "lost-frozen").touch()
    gate.opened.set()
    frozen.signal(signal.SIGCONT)
    assert "LeaseLost" in frozen.end()
    assert [value_of(aws, name) for name in (BASE, WEB)] == ["1", "1"]
