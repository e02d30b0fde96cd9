"""`stagedoor diff` as a person and a script see it."""

import os
import pty
import subprocess

from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.cli.command import Command, stack_name


def test_a_stage_that_is_new_then_changed_then_the_same(stagedoor: Command):
    new = stagedoor("diff", "--stage", "dev")
    assert new.returncode == 0, new.stderr
    assert new.stdout.splitlines() == [
        f"{stack_name(stagedoor)} is created: it does not exist",
        "├── Resources",
        "│   └── + Tiny/Word/Resource  AWS::SSM::Parameter",
        "└── Outputs",
        "    └── + Name: ${Word}",
    ]
    stagedoor("deploy", "--stage", "dev")
    assert stagedoor("diff", "--stage", "dev", "--exit-code").returncode == 0
    (stagedoor.folder / "word").write_text("changed")
    changed = stagedoor("diff", "--stage", "dev", "--exit-code")
    assert changed.returncode == 1
    assert "~ Value: hello → changed" in changed.stdout
    assert "1 stack changes; resources: 1 modified." in changed.stderr
    assert "\x1b" not in changed.stdout
    [stack] = stagedoor.result("diff", "--stage", "dev")["plan"]["stacks"]
    assert (stack["action"], stack["reason"].partition(":")[0]) == ("update", "its template changes")
    [resource] = stack["resources"]
    assert resource == {
        "logical_id": "Word",
        "type": "AWS::SSM::Parameter",
        "construct_path": "Tiny/Word/Resource",
        "action": "modify",
        "replacement": "never",
        "properties": [{"path": "Value", "before": "hello", "after": "changed", "replacement": "never", "cause": ""}],
        "loses_data": False,
        "kept": False,
        "cause": "",
    }


def test_what_would_be_refused_is_said_and_is_exit_code_1(stagedoor: Command):
    program = stagedoor.folder / "app.py"
    program.write_text(program.read_text().replace('"Value": {"Ref": "Word"}', '"Value": {"Ref": "Wrod"}'))
    refused = stagedoor("diff", "--stage", "dev")
    assert refused.returncode == 1
    assert "Refused: The output Name refers to Wrod, which is not in the template." in refused.stdout
    assert "(unresolved-reference)" in refused.stdout


def test_nothing_is_changed_by_looking(slow: Command, scripted: ScriptedCloudFormation):
    assert slow("deploy", "--stage", "dev").returncode == 0
    scripted.calls.clear()
    (slow.folder / "word").write_text("changed")
    assert "hello → changed" in slow("diff", "--stage", "dev").stdout
    assert scripted.calls
    assert scripted.changes() == []


def test_colours_are_for_terminals(stagedoor: Command):
    terminal, end = pty.openpty()
    process = stagedoor.start("diff", "--stage", "dev", stdout=end, stderr=subprocess.DEVNULL)
    os.close(end)
    said = b""
    while process.poll() is None or said == b"":
        try:
            said += os.read(terminal, 65536)
        except OSError:
            break
    process.wait(60)
    assert b"\x1b[" in said
