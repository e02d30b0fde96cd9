"""What a person sees beyond what a deploy has to know."""

import hashlib
import json
from pathlib import Path
from typing import Any

from stagedoor.assembly.model import Assembly, FileAsset, Packaging
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.insides import with_insides
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.plan import Plan, plan_deploy
from stagedoor.deploy.publishing.assets import address_assets
from stagedoor.events import silent
from stagedoor.target import Target
from tests.stagedoor.deploy.assemblies import IDENTITY, parameter, stack, template


def nesting(directory: Path, target: Target, word: str) -> Assembly:
    """A stack with one nested in it, to which it passes the name of its own parameter."""
    inner = {
        **template(Inner=parameter(word), Copy=parameter({"Ref": "Outer"})),  # type: ignore[arg-type]
        "Parameters": {"Outer": {"Type": "String"}},
    }
    inner["Resources"]["Inner"]["Metadata"] = {"aws:cdk:path": "App/Nested/Inner"}
    text = json.dumps(inner)
    key = f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    source = directory / key
    source.write_text(text)
    bucket = f"cdk-{target.qualifier}-assets-{target.account}-{target.region}"
    asset = FileAsset(key[:-5], source, Packaging.FILE, bucket, key, "nested", is_template=True)
    url = {"Fn::Join": ["", ["https://s3.us-east-1.", {"Ref": "AWS::URLSuffix"}, f"/{bucket}/{key}"]]}
    nested: dict[str, Any] = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {"TemplateURL": url, "Parameters": {"Outer": {"Ref": "Value"}}},
    }
    return Assembly(
        directory, (stack(directory, "App", template(Value=parameter("x"), Nested=nested), assets=(asset,)),)
    )


def looked_into(assembly: Assembly, clients: Clients, scratch: Path) -> Plan:
    addressed = address_assets(assembly, clients.target, scratch)
    return with_insides(plan_deploy(addressed, IDENTITY, clients, ()), clients)


def test_a_nested_stacks_resources_are_told(app: Path, target: Target, clients: Clients, tmp_path: Path):
    new = looked_into(nesting(app, target, "hello"), clients, tmp_path / "a").stacks[0].difference.resources
    assert [one.logical_id for one in new] == ["Value", "Nested", "Nested/Inner", "Nested/Copy"]
    deploy(nesting(app, target, "hello"), IDENTITY, clients, MemoryLedger("1"), silent)
    changed = looked_into(nesting(app, target, "changed"), clients, tmp_path / "b").stacks[0].difference.resources
    nested, inner = changed
    assert (nested.logical_id, [one.path for one in nested.properties]) == ("Nested", ["TemplateURL"])
    assert (inner.logical_id, inner.construct_path) == ("Nested/Inner", "App/Nested/Inner")
    assert [(one.before, one.after) for one in inner.properties] == [("hello", "changed")]


def test_what_goes_with_a_stack_that_the_app_no_longer_has(app: Path, clients: Clients):
    both = Assembly(
        app,
        (
            stack(app, "Old", template(Table={"Type": "AWS::S3::Bucket", "DeletionPolicy": "Delete"})),
            stack(app, "New", template(B=parameter("b"))),
        ),
    )
    deployed = deploy(both, IDENTITY, clients, MemoryLedger("1"), silent)
    plan = with_insides(plan_deploy(Assembly(app, both.stacks[1:]), IDENTITY, clients, deployed.stacks), clients)
    [gone] = plan.stacks[1].difference.resources
    assert (gone.logical_id, gone.loses_data) == ("Table", True)
