"""A stage's random life under faults: deploys of changing apps, deploys that fail or die on the way, removals.

Each deploy that ends well is compared with what AWS has then, past the proxy; after the last removal nothing is left.
"""

import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3

from stagedoor.assembly.model import Assembly
from stagedoor.cli.stage import known_stacks
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.failure import DeployFailed
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.plan import KnownStack
from stagedoor.deploy.remove import remove
from stagedoor.deploy.stacks import read_all_stacks
from stagedoor.events import Event, EventKind, silent
from stagedoor.naming import StageIdentity
from stagedoor.target import Target
from tests.stagedoor.deploy.assemblies import parameter, stack, template

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient


class Died(BaseException):
    """The process that deployed is no more."""


@dataclass
class Sequence:
    """One stage's life. `aws` is the local AWS's own endpoint; what the engine calls goes by its environment."""

    seed: int
    number: int
    aws: str
    target: Target
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        stage = f"f{self.number}"
        self.identity = StageIdentity("shop", stage, f"shop-{stage}", "42", "here")
        self.chance = random.Random(f"{self.seed}/{self.number}")
        self.alone = self.chance.random() < 0.5

    def run(self) -> None:
        """Live it. Raises what went wrong: an error of the engine, or AssertionError for what AWS has at the end."""
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            for step in range(self.chance.randint(1, 3)):
                directory = Path(folder) / str(step)
                directory.mkdir()
                self._step(directory, str(step))
        self._remove("last")
        left = [one["StackName"] for one in self._direct("cloudformation").describe_stacks()["Stacks"]]
        assert not [name for name in left if name.startswith(f"{self.identity.prefix}-")], left
        buckets = [one["Name"] for one in boto3.Session().client("s3", endpoint_url=self.aws).list_buckets()["Buckets"]]
        assert not [name for name in buckets if name.startswith(f"{self.identity.prefix}-")], buckets
        self.seconds = time.monotonic() - began

    def _step(self, directory: Path, run: str) -> None:
        kind = self.chance.choice(["deploy", "deploy", "deploy", "die", "fail", "remove"])
        self.log.append(kind)
        if kind == "remove":
            self._remove(run)
            return
        value, size, broken = f"{run}-{self.chance.random()}", self.chance.randint(1, 3), kind == "fail"
        assembly = app(directory, self.identity, value, size, broken=broken)
        dies_at = self.chance.randint(1, 12) if kind == "die" else 0
        try:
            self._deploy(assembly, run, dies_at)
        except (Died, DeployFailed):
            if kind == "deploy":
                raise
            return
        assert not broken, self.log
        self._check(assembly, value)

    def _deploy(self, assembly: Assembly, run: str, dies_at: int) -> None:
        said = 0

        def emit(event: Event) -> None:
            nonlocal said
            said += event.kind in (EventKind.STACK, EventKind.RESOURCE)
            if dies_at and said >= dies_at:
                raise Died

        clients, ledger = Clients(self.target), MemoryLedger(f"{self.number}x{run}")
        deploy(assembly, self.identity, clients, ledger, emit, self._known(clients), alone=self.alone)

    def _remove(self, run: str) -> None:
        clients, ledger = Clients(self.target), MemoryLedger(f"{self.number}x{run}")
        removed = remove(self.identity, clients, ledger, silent, self._known(clients))
        assert removed.kept == (), self.log

    def _known(self, clients: Clients) -> list[KnownStack]:
        """Return what the command line knows of a stage: what the stacks' tags say."""
        return known_stacks(read_all_stacks(clients), self.identity)

    def _check(self, assembly: Assembly, value: str) -> None:
        """Compare the stacks with the assembly, and leave something in the bucket for the removal to find."""
        cloudformation = self._direct("cloudformation")
        wanted = {stack.name for stack in assembly.stacks}
        there = [
            one
            for one in cloudformation.describe_stacks()["Stacks"]
            if one["StackName"].startswith(f"{self.identity.prefix}-")
        ]
        assert {one["StackName"] for one in there} == wanted, self.log
        for one in there:
            assert one["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), self.log
            assert value in [output.get("OutputValue") for output in one.get("Outputs", [])], self.log
        bucket = cloudformation.describe_stack_resource(
            StackName=self.identity.stack_name("Base"), LogicalResourceId="Bucket"
        )["StackResourceDetail"]["PhysicalResourceId"]
        boto3.Session().client("s3", endpoint_url=self.aws).put_object(Bucket=bucket, Key=value, Body=b"left")

    def _direct(self, service: Any) -> "CloudFormationClient":
        return boto3.Session().client(service, endpoint_url=self.aws)  # type: ignore[no-any-return]


def app(directory: Path, identity: StageIdentity, value: str, size: int, *, broken: bool) -> Assembly:
    """Return an app of up to three stacks, the later ones importing what the first exports."""
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Enabled"}}}
    base = template({"Now": value}, Value=parameter(value), Bucket=bucket)
    export = f"{identity.prefix}-bucket"
    if size > 1:
        base["Outputs"]["Bucket"] = {"Value": {"Ref": "Bucket"}, "Export": {"Name": export}}
    stacks = [stack(directory, "Base", base, identity=identity)]
    for name in ("Web", "Jobs")[: size - 1]:
        body = template({"Now": value}, Value=parameter(value), Shared=parameter({"Fn::ImportValue": export}))  # type: ignore[arg-type]
        if broken:
            taken = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "taken-by-another"}, "DependsOn": "Value"}
            body["Resources"]["Taken"] = taken
        stacks.append(stack(directory, name, body, identity=identity, needs=("Base",)))
    if broken and size == 1:
        base["Resources"]["Taken"] = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "taken-by-another"}}
        stacks[0] = stack(directory, "Base", base, identity=identity)
    return Assembly(directory, tuple(stacks))
