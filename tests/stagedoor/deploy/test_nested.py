"""Nested stacks: what is in them is refused, compared and told as what is around them. On the local AWS."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3

from stagedoor.assembly.model import Assembly, FileAsset, Packaging
from stagedoor.deploy.apply import Deployed, deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.plan import plan_deploy
from stagedoor.deploy.publishing.assets import address_assets
from stagedoor.events import Emit, Event, EventKind, silent
from tests.stagedoor.deploy.assemblies import IDENTITY, parameter, stack, template

LASTING = replace(IDENTITY, stage="prod", prefix="shop-prod-abc123", disposable=False)


def nesting(directory: Path, inner: dict[str, Any], *, account: str, **around: Any) -> Assembly:
    """Return an app of one stack, in which `Nested` is one of a template, beside the resources around it."""
    text = json.dumps(inner)
    key = f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    source = directory / key
    source.write_text(text)
    bucket = f"cdk-hnb659fds-assets-{account}-us-east-1"
    asset = FileAsset(key[:-5], source, Packaging.FILE, bucket, key, "nested", is_template=True)
    url = {"Fn::Join": ["", ["https://s3.us-east-1.", {"Ref": "AWS::URLSuffix"}, f"/{bucket}/{key}"]]}
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}
    body = template(Value=parameter("x"), Nested=nested, **around)
    return Assembly(directory, (stack(directory, "App", body, assets=(asset,), identity=LASTING),))


def bring(assembly: Assembly, clients: Clients, emit: Emit = silent) -> Deployed:
    return deploy(assembly, LASTING, clients, MemoryLedger("1"), emit, alone=True)


def refused(assembly: Assembly, clients: Clients, scratch: Path) -> list[str]:
    plan = plan_deploy(address_assets(assembly, clients.target, scratch), LASTING, clients, ())
    return [f"{error.id}: {error.what}" for error in plan.refusals]


def exporting(name: str) -> dict[str, Any]:
    body = template({"Out": "1"}, Value=parameter("x"))
    body["Outputs"]["Out"]["Export"] = {"Name": name}
    return body


def test_what_is_wrong_inside_is_refused(app: Path, clients: Clients, tmp_path: Path):
    wrong = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Valeu": {"Ref": "No"}}}
    told = refused(nesting(app, template(Inner=wrong), account=clients.target.account), clients, tmp_path / "a")
    assert told == [
        "unresolved-reference: Nested/Inner refers to No, which is not in the template.",
        "missing-property: Nested/Inner (AWS::SSM::Parameter) lacks the property Value.",
        "unknown-property: Nested/Inner (AWS::SSM::Parameter) has no property Valeu.",
    ]


def test_exports_inside_are_held_against_all_others(app: Path, clients: Clients, tmp_path: Path):
    account = clients.target.account
    bring(Assembly(app, (stack(app, "First", exporting("url"), identity=LASTING),)), clients)
    [told] = refused(nesting(app, exporting("url"), account=account), clients, tmp_path / "a")
    assert told == (
        "duplicate-export: The stack shop-prod-abc123-App/Nested exports 'url', which shop-prod-abc123-First exports "
        "already."
    )
    new = nesting(app, exporting("new"), account=account)
    both = Assembly(app, (*new.stacks, stack(app, "Other", exporting("new"), identity=LASTING)))
    [told] = refused(both, clients, tmp_path / "b")
    assert "shop-prod-abc123-Other and shop-prod-abc123-App/Nested both export 'new'" in told
    imports = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": {"Fn::ImportValue": "new"}}}
    importer = stack(app, "Other", template(Copy=imports), identity=LASTING, needs=("App",))
    assert refused(Assembly(app, (*new.stacks, importer)), clients, tmp_path / "c") == []


def test_a_full_bucket_inside_of_a_lasting_stage_is_not_dropped(app: Path, clients: Clients, tmp_path: Path):
    account = clients.target.account
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": f"inside-{account}"}}
    bring(nesting(app, template(Files=bucket, Inner=parameter("y")), account=account), clients)
    boto3.Session().client("s3").put_object(Bucket=f"inside-{account}", Key="note", Body=b"x")
    [told] = refused(nesting(app, template(Inner=parameter("y")), account=account), clients, tmp_path / "a")
    assert told.startswith(f"bucket-not-empty: Nested/Files is removed, and its bucket inside-{account} holds objects")


def test_what_happens_inside_is_told(app: Path, clients: Clients):
    told: list[Event] = []

    def resources() -> dict[str, str]:
        found = {event.subject: event.status for event in told if event.kind is EventKind.RESOURCE}
        told.clear()
        return found

    name = "shop-prod-abc123-App"
    inner = template(Inner={**parameter("1"), "Metadata": {"aws:cdk:path": "App/Nested/Inner"}})
    bring(nesting(app, inner, account=clients.target.account), clients, told.append)
    path = {event.data.get("construct_path") for event in told if event.subject == f"{name}/Nested/Inner"}
    assert path == {"App/Nested/Inner"}
    assert resources() == dict.fromkeys(
        [f"{name}/{one}" for one in ("Value", "Nested", "Nested/Inner")], "CREATE_COMPLETE"
    )
    bring(nesting(app, template(Inner=parameter("2")), account=clients.target.account), clients, told.append)
    assert resources()[f"{name}/Nested/Inner"] == "UPDATE_COMPLETE"
    assert {event.subject for event in told if event.kind is EventKind.STACK} <= {name}
