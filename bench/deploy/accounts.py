"""Accounts of the local AWS for the two sides, prepared and emptied outside of the clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3

from bench.peers import Program, cdk_cli, stagedoor_cli
from bench.sample import python_for_the_cdk_cli
from demo.aws.server import LocalAws

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

REGION = "us-east-1"
OURS, THEIRS = "100000000001", "100000000002"
_BOOTSTRAPS = ("CDKToolkit", "stagedoor-bootstrap-")


@dataclass(frozen=True)
class Place:
    """A local AWS, and a folder for what a measurement writes."""

    aws: LocalAws
    folder: Path

    def account(self, number: str) -> dict[str, str]:
        """Return the environment of whoever works in an account."""
        return self.aws.environment(number, REGION)

    def cdk(self, folder: Path, number: str = THEIRS) -> Program:
        """Return the CDK CLI in a folder, in its own account."""
        return cdk_cli(folder, self.account(number), self.folder / f"cdk-home-{number}", python_for_the_cdk_cli())

    def stagedoor(self, folder: Path, number: str = OURS) -> Program:
        """Return our command in a folder, in its own account."""
        return stagedoor_cli(folder, self.account(number))

    def client(self, service: str, number: str) -> Any:
        """Return a boto3 client that looks into an account."""
        return boto3.Session(number, "local", region_name=REGION).client(service, endpoint_url=self.aws.endpoint)  # type: ignore[call-overload]

    def bootstrap(self) -> None:
        """Prepare both accounts, each as its side's users do."""
        self.cdk(self.folder)("bootstrap", f"aws://{THEIRS}/{REGION}")
        self.stagedoor(self.folder)("bootstrap")

    def remove_stacks(self, number: str) -> None:
        """Delete all stacks of an account but its bootstrap."""
        cloudformation: CloudFormationClient = self.client("cloudformation", number)
        stacks = cloudformation.describe_stacks()["Stacks"]
        # The newest first: a stack is never older than what it depends on.
        names = [stack["StackName"] for stack in sorted(stacks, key=lambda each: each["CreationTime"], reverse=True)]
        for name in (name for name in names if not name.startswith(_BOOTSTRAPS)):
            cloudformation.delete_stack(StackName=name)
            cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})

    def empty_bucket(self, number: str) -> None:
        """Delete every asset of an account."""
        bucket = boto3.Session(number, "local", region_name=REGION).resource("s3", endpoint_url=self.aws.endpoint)
        bucket.Bucket(f"cdk-hnb659fds-assets-{number}-{REGION}").object_versions.delete()


@contextmanager
def place() -> Iterator[Place]:
    """Start a local AWS with a folder, and end both."""
    with TemporaryDirectory(prefix="stagedoor-bench-") as folder, LocalAws(Path(folder) / "aws") as aws:
        yield Place(aws, Path(folder))
