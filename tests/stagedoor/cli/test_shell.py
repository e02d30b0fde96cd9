"""`stagedoor shell`: a command that has what the code of a stage has."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest

from stagedoor.cli.app_folder import find_app
from stagedoor.naming import parameter_folder
from tests.stagedoor.cli.bound_app import bound_app
from tests.stagedoor.cli.command import Command

FUNCTION = """
trust = {"Version": "2012-10-17", "Statement": []}
role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}}
variables = {"STAGEDOOR_BIND_Table_Notes": '{"table_name": "of the function"}'}
handler = {"Type": "AWS::Lambda::Function", "Properties": {
    "Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Runtime": "python3.12", "Handler": "index.handle",
    "Code": {"ZipFile": "def handle(event, context): pass"}, "Environment": {"Variables": variables}}}
template["Resources"] |= {"Role": role, "Create": handler}
(out / "Tiny.template.json").write_text(json.dumps(template))
"""
ASK = (
    "import os, sys; from stagedoor.runtime import Secret, Table; print(Table.Notes.table_name, Secret.StripeKey.value)"
)
ASK_FUNCTION = (
    "import os; from stagedoor.runtime import Secret, Table; print(Table.Notes.table_name, dir(Secret), "
    "os.environ['AWS_ACCESS_KEY_ID'] != os.environ['CALLER'])"
)


@pytest.fixture
def shop(tmp_path: Path, account: dict[str, str], aws: boto3.Session) -> Command:
    """The command in the folder of an app with something to bind, a secret that is set, and a function."""
    folder = bound_app(tmp_path / "shop")
    (folder / "app.py").write_text((folder / "app.py").read_text() + FUNCTION)
    (folder / ".env").write_text("GREETING=hello\nCALLER=nobody\n")
    (folder / ".env.dev").write_text("GREETING=${GREETING} dev\n")
    name = f"{parameter_folder('shop', find_app(folder).repository.id)}/_fallback/StripeKey"
    aws.client("ssm", endpoint_url=account["AWS_ENDPOINT_URL"]).put_parameter(
        Name=name, Value="sk_test", Type="SecureString"
    )
    return Command(folder, {**account, "CALLER": account["AWS_ACCESS_KEY_ID"]})


def test_a_command_in_a_stage(shop: Command):
    missing = shop("shell", "--stage", "dev", "--", "true")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "The stage dev of shop is not in account" in missing.stderr
    assert shop.result("deploy", "--stage", "dev")["ok"]

    asked = shop("shell", "--stage", "dev", "--", sys.executable, "-c", f"{ASK}; sys.exit(7)")
    assert (asked.returncode, asked.stdout, asked.stderr) == (7, "notes-dev sk_test\n", "")
    said = shop(
        "shell", "--stage", "dev", "--", "sh", "-c", "echo $GREETING $AWS_REGION $STAGEDOOR_STAGE; kill -TERM $$"
    )
    assert (said.returncode, said.stdout) == (-signal.SIGTERM, "hello dev us-east-1 dev\n")
    own = shop("shell", "--stage", "dev", "--function", "Create", "--", sys.executable, "-c", ASK_FUNCTION)
    assert own.stdout == "of the function [] True\n", own.stderr
    nothing = shop("shell", "--stage", "dev", "--", "no-such-program")
    assert (nothing.returncode, "There is no program 'no-such-program'." in nothing.stderr) == (1, True)

    test = shop.folder / "test_notes.py"
    test.write_text(
        "from stagedoor.runtime import Table\n\ndef test_notes():\n    assert Table.Notes.table_name == 'notes-dev'\n"
    )
    tested = shop("shell", "--stage", "dev", "--", sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert (tested.returncode, "1 passed" in tested.stdout) == (0, True)

    log = shop.folder.parent / "log"
    process = shop.start(
        "shell", "--stage", "dev", "--watch", "--", "sh", "-c", f"echo $(cat word) >> {log}; exec sleep 60"
    )
    until(lambda: log.exists() and log.read_text() == "hello\n")
    time.sleep(1)  # what was there before is no change
    (shop.folder / "word").write_text("again")
    until(lambda: log.read_text() == "hello\nagain\n")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "word changed: starting sh again." in err


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for half a minute at most."""
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
