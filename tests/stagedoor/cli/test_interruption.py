"""Ctrl-C, with a CloudFormation that takes as long as a test wants."""

import json
import signal
import subprocess
import time

from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.cli.command import Command, stack_name


def ended(process: subprocess.Popen[str]) -> str:
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    return err


def test_during_synth_it_stops_at_once_and_has_changed_nothing(slow: Command, scripted: ScriptedCloudFormation):
    (slow.folder / "app.py").write_text("import time; print('thinking', flush=True); time.sleep(60)")
    process = slow.start("deploy", "--stage", "dev", "--verbose")
    assert process.stderr
    assert any("thinking" in line for line in process.stderr)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert "Nothing was changed." in ended(process)
    assert time.monotonic() - began < 5
    assert scripted.changes() == []


def test_a_creation_goes_on_and_the_next_deploy_joins_it(slow: Command, scripted: ScriptedCloudFormation):
    name = stack_name(slow)
    scripted.account.held.add(name)
    process = slow.start("deploy", "--stage", "dev")
    scripted.await_call("CreateStack")
    scripted.await_call("DescribeStackEvents", 2)
    process.send_signal(signal.SIGINT)
    said = ended(process)
    assert "Stopping at a safe point. Ctrl-C again leaves at once." in said
    assert f"CloudFormation goes on with {name} (creating). The next deploy or remove joins it." in said
    scripted.account.held.clear()
    assert slow.result("deploy", "--stage", "dev")["ok"]
    assert len(scripted.changes("CreateStack")) == 1


def test_an_update_is_told_to_roll_back(slow: Command, scripted: ScriptedCloudFormation):
    assert slow.result("deploy", "--stage", "dev")["ok"]
    (slow.folder / "word").write_text("changed")
    scripted.account.held.add(stack_name(slow))
    scripted.account.seconds = 10  # for the rollback, too
    process = slow.start("deploy", "--stage", "dev")
    scripted.await_call("UpdateStack")
    process.send_signal(signal.SIGTERM)
    assert f"CloudFormation goes on with {stack_name(slow)}" in ended(process)
    assert len(scripted.changes("CancelUpdateStack")) == 1


def test_twice_it_leaves_at_once(slow: Command, scripted: ScriptedCloudFormation):
    gate = scripted.gate("CreateStack", after=True)
    process = slow.start("deploy", "--stage", "dev")
    gate.wait()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert "What CloudFormation had begun, it goes on with" in ended(process)
    assert not gate.opened.is_set()


def test_json_says_so_too(slow: Command):
    (slow.folder / "app.py").write_text("import time; print('thinking', flush=True); time.sleep(60)")
    process = slow.start("deploy", "--stage", "dev", "--json")
    assert process.stdout
    assert any("thinking" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    last = process.stdout.read().splitlines()[-1]
    assert json.loads(last)["error"]["id"] == "interrupted"
    assert process.wait(10) == 130
