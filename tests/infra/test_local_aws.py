"""The service's own stacks by its own engine on the local AWS, as far as that knows their resources."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from sqlalchemy import make_url

from demo.aws.server import LocalAws
from service.settings import Settings
from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.model import Assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.bootstrap import bootstrap
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.plan import plan_deploy
from stagedoor.deploy.publishing.assets import address_assets
from stagedoor.events import silent
from stagedoor.naming import StageIdentity
from stagedoor.target import Target
from tests.infra.conftest import ACCOUNT, REGION, WISHES, synthesize

UNKNOWN = (
    *("EC2::EIP", "EC2::FlowLog", "EC2::NatGateway", "EC2::SecurityGroupIngress", "EC2::SecurityGroupEgress"),
    *("ApplicationAutoScaling::ScalableTarget", "ApplicationAutoScaling::ScalingPolicy"),
)
IDENTITY = StageIdentity(app="service", stage="prod", prefix="service-prod-abc123", repository="42", service="here")
TARGET = Target("local", ACCOUNT, REGION)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as aws:
        yield aws


@pytest.fixture
def clients(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Clients:
    for name, value in {
        **aws.environment(ACCOUNT, REGION),
        "STAGEDOOR_STAGE": "prod",
        "STAGEDOOR_LASTING": "1",
    }.items():
        monkeypatch.setenv(name, value)
    clients = Clients(TARGET)
    bootstrap(clients, TARGET, silent)
    return clients


def assembly_of(folder: Path) -> Assembly:
    assembly = read_assembly(folder / "cdk.out")
    inspect_assembly(assembly, TARGET)
    return rewrite_assembly(assembly, IDENTITY, TARGET, folder / "stage").assembly


@pytest.mark.parametrize("variant", WISHES)
def test_the_engine_refuses_nothing(clients, variant, tmp_path):
    synthesize(WISHES[variant], tmp_path / "cdk.out")
    assembly = address_assets(assembly_of(tmp_path), TARGET, tmp_path)
    assert plan_deploy(assembly, IDENTITY, clients, known=()).refusals == ()


def test_what_is_known_of_standard_is_deployed_and_finds_its_database(clients, tmp_path):
    """The stacks find each other's exports, and a secret becomes the URL that a task is told."""
    synthesize(WISHES["standard"], tmp_path / "cdk.out")
    for file in (tmp_path / "cdk.out").glob("*.template.json"):
        file.write_text(json.dumps(known(json.loads(file.read_text()))))
    outputs = deploy(assembly_of(tmp_path), IDENTITY, clients, MemoryLedger("1"), silent).outputs
    assert set(outputs["Service"]) == {"Address", "Alarms", "WorkerRole"}

    secrets = boto3.Session().client("secretsmanager")
    listed = secrets.list_secrets()["SecretList"]
    values = {each["Name"]: secrets.get_secret_value(SecretId=each["ARN"])["SecretString"] for each in listed}
    (made,) = [json.loads(value) for name, value in values.items() if "DatabaseSecret" in name]
    (told,) = [value for name, value in values.items() if "DatabaseUrl" in name]
    url = make_url(Settings(database_url=told).database)
    assert [url.username, url.password, url.host, url.database] == [
        made[key] for key in ("username", "password", "host", "dbname")
    ]
    assert url.query == {"sslmode": "require"}


def known(template: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a template what the local AWS does not know, and what refers to it."""
    resources = {name: each for name, each in template["Resources"].items() if each["Type"][5:] not in UNKNOWN}
    while dangling := [
        name for name, each in resources.items() if referred(each.get("Properties")) & gone(template, resources)
    ]:
        for name in dangling:
            del resources[name]
    for each in resources.values():
        if "DependsOn" in each:
            each["DependsOn"] = [name for name in each["DependsOn"] if name in resources]
    return {**template, "Resources": resources}


def gone(template: dict[str, Any], resources: dict[str, Any]) -> set[str]:
    return set(template["Resources"]) - set(resources)


def referred(value: object) -> set[str]:
    """Return the names in `Ref` and `Fn::GetAtt`."""
    if isinstance(value, list):
        return set().union(*map(referred, value))
    if not isinstance(value, dict):
        return set()
    named = {value["Ref"]} if "Ref" in value else {value["Fn::GetAtt"][0]} if "Fn::GetAtt" in value else set()
    return named.union(*map(referred, value.values()))
