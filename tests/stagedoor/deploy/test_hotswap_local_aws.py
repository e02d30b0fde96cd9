"""Functions changed without CloudFormation on the local AWS, and made right again by it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from stagedoor.assembly.model import Assembly
from stagedoor.deploy.apply import Deployed, deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.drift import ParameterDrifts
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.swap import Hotswaps
from stagedoor.events import Event, EventKind
from stagedoor.target import Target
from tests.stagedoor.deploy.assemblies import IDENTITY, code_asset, parameter, stack, template

ANSWER = "import os\ndef handler(event, context): return {'code': 'CODE', 'greeting': os.environ.get('GREETING')}"
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [TRUST]}},
}


@dataclass
class Shop:
    """A stage of one stack with functions, deployed again and again."""

    directory: Path
    target: Target
    clients: Clients
    events: list[Event] = field(default_factory=list)
    runs: int = 0

    def wanted(self, *codes: str, other: str = "same", version: bool = False, **properties: Any) -> Assembly:
        """Return the app with a function for each code, and a parameter beside them."""
        self.runs += 1
        directory = self.directory / str(self.runs)
        directory.mkdir()
        assets = [code_asset(directory, self.target, {"index.py": ANSWER.replace("CODE", code)}) for code in codes]
        resources: dict[str, Any] = {"Role": ROLE, "Other": parameter(other)}
        for number, asset in enumerate(assets):
            resources[f"F{number}"] = {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Bucket": asset.bucket, "S3Key": asset.key},
                    "Handler": "index.handler",
                    "Runtime": "python3.12",
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                    **properties,
                },
                "Metadata": {
                    "aws:cdk:path": f"Api/F{number}/Resource",
                    "aws:asset:path": f"asset.{asset.claimed_hash}",
                },
            }
            if version:
                made = f"Version{asset.claimed_hash[:8]}"
                resources[made] = {
                    "Type": "AWS::Lambda::Version",
                    "Properties": {"FunctionName": {"Ref": f"F{number}"}},
                }
                resources["Alias"] = {
                    "Type": "AWS::Lambda::Alias",
                    "Properties": {
                        "FunctionName": {"Ref": f"F{number}"},
                        "FunctionVersion": {"Fn::GetAtt": [made, "Version"]},
                        "Name": "live",
                    },
                }
        body = template(**resources)
        paths = {f"F{number}": f"Api/F{number}" for number in range(len(codes))}
        return Assembly(directory, (stack(directory, "Api", body, assets=tuple(assets), construct_paths=paths),))

    def deploy(self, assembly: Assembly, *, hotswap: bool = True, **more: Any) -> Deployed:
        self.events = []
        clients = more.get("clients", self.clients)
        return deploy(
            assembly,
            IDENTITY,
            clients,
            MemoryLedger(str(self.runs)),
            more.get("emit", self.events.append),
            hotswaps=Hotswaps(ParameterDrifts(clients, IDENTITY), hotswap),
        )

    @property
    def way(self) -> str:
        """How the last deploy went: the stack's own last status."""
        return [event.status for event in self.events if event.kind is EventKind.STACK][-1]

    def answer(self, number: int = 0, qualifier: str = "$LATEST") -> dict[str, Any]:
        found = boto3.client("cloudformation").describe_stack_resource(
            StackName=IDENTITY.stack_name("Api"), LogicalResourceId=f"F{number}"
        )
        name = found["StackResourceDetail"]["PhysicalResourceId"]
        answer = boto3.client("lambda").invoke(FunctionName=name, Qualifier=qualifier)
        return dict(json.loads(answer["Payload"].read()))

    def code(self, number: int = 0, qualifier: str = "$LATEST") -> str:
        return str(self.answer(number, qualifier)["code"])


@pytest.fixture
def shop(app: Path, target: Target, clients: Clients) -> Shop:
    return Shop(app, target, clients)


def records() -> list[str]:
    return [
        one["Name"] for one in boto3.client("ssm").describe_parameters()["Parameters"] if "hotswapped" in one["Name"]
    ]


def test_new_code_is_swapped_and_going_back_finds_the_old_one_again(shop: Shop):
    shop.deploy(shop.wanted("one"))
    assert (shop.way, shop.code()) == ("CREATE_COMPLETE", "one")
    shop.deploy(shop.wanted("two"))
    assert (shop.way, shop.code()) == ("HOTSWAP_COMPLETE", "two")
    assert shop.deploy(shop.wanted("two")).unchanged
    shop.deploy(shop.wanted("one"))
    assert (shop.way, shop.code()) == ("HOTSWAP_COMPLETE", "one")
    assert shop.deploy(shop.wanted("one")).unchanged
    assert records() == []
