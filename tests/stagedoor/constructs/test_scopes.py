"""Where constructs stand is their author's: in nested stacks, and several of one id in scopes of their own."""

import json
from collections.abc import Callable
from pathlib import Path

from aws_cdk import NestedStack
from constructs import Construct

from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.resources import bindable_resources
from stagedoor.cli.shell import bound_variables
from stagedoor.constructs import App, Function, Stack, Table
from stagedoor.deploy.stacks import read_all_stacks
from stagedoor.events import Event
from tests.stagedoor.cli.command import Command
from tests.stagedoor.constructs.live_stage import LiveStage

PUT = """
import boto3
from stagedoor.runtime import Table

def notes(event, context):
    return put(Table.Notes.table_name)

def inner(event, context):
    return put(Table.Inner.table_name)

def put(name):
    boto3.resource("dynamodb").Table(name).put_item(Item={"id": "1"})
    return name
"""


def tenants(app: App) -> None:
    """Add two tenants, each with a table of the same id, and a table in a nested stack."""
    stack = Stack(app, "Data")
    for name in ("Acme", "Globex"):
        tenant = Construct(stack, name)
        notes = Table(tenant, "Notes", partition_key="id")
        Function(stack, f"Of{name}", "functions/put.notes", bind=[notes.write(), notes.read()])
    nested = NestedStack(stack, "Nested")
    Function(stack, "Outer", "functions/put.inner", bind=[Table(nested, "Inner", partition_key="id")])
    Function(nested, "Within", "functions/put.inner", bind=[Table(nested, "Other", partition_key="id")])


def test_each_function_has_its_own_and_a_nested_stack_tells_of_its_resources(
    live: LiveStage, app_folder: Path, new_app: Callable[..., App]
):
    (app_folder / "functions").mkdir()
    (app_folder / "functions" / "put.py").write_text(PUT)
    app = new_app()
    tenants(app)
    live.deploy(app)
    acme, globex = live.call("OfAcme", {}), live.call("OfGlobex", {})
    assert ("Acme" in acme, "Globex" in globex) == (True, True)
    inner = live.call("Outer", {})

    known = bindable_resources(read_assembly(Path(app.outdir)))
    assert [f"{one.kind}.{one.name}" for one in known] == ["Table.Inner", "Table.Notes", "Table.Other"]
    told: list[Event] = []
    stacks = [one for one in read_all_stacks(live.clients) if one.tags.get("stagedoor:stage") == "pr-1"]
    bound = bound_variables(stacks, told.append)
    assert json.loads(bound["STAGEDOOR_BIND_Table_Inner"])["table_name"] == inner
    assert json.loads(bound["STAGEDOOR_BIND_Table_Notes"])["table_name"] in (acme, globex)
    assert [event.subject for event in told] == ["Table.Notes"]

    (app_folder / "stagedoor.toml").write_text('[apps.shop]\npath = "."\n')
    mona = somebody(live, app_folder)
    assert "of WithinFunction: " in mona("shell", "--stage", "pr-1", "--function", "Within*", "--", "true").stderr
    refused = mona("shell", "--stage", "pr-1", "--function", "OfAcme*", "--", "true")
    assert refused.returncode == 1
    assert "You may not assume the role of OfAcmeFunction: " in refused.stderr
    assert "have the role's trust policy name you" in refused.stderr
    live.remove()


def somebody(live: LiveStage, folder: Path) -> Command:
    """Return the command as somebody runs it who may look at all of the account, and assume no role."""
    iam = live.client("iam")
    iam.create_user(UserName="mona")
    looks = ["cloudformation:Describe*", "cloudformation:Get*", "cloudformation:List*", "lambda:Get*", "lambda:List*"]
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": looks, "Resource": "*"}]}
    iam.put_user_policy(UserName="mona", PolicyName="looks", PolicyDocument=json.dumps(allowed))
    key = iam.create_access_key(UserName="mona")["AccessKey"]
    keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    return Command(folder, {**live.aws.environment(), **keys})
