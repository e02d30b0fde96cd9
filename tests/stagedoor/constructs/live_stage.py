"""A stage in the local AWS, by the engine's own path, and what a test asks of it."""

import http.client
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from demo.aws.server import LocalAws
from stagedoor.assembly.inspection import inspect_assembly
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from stagedoor.constructs import App
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.bootstrap import bootstrap
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.remove import remove
from stagedoor.events import silent
from stagedoor.naming import BINDING_OUTPUT, StageIdentity
from stagedoor.target import Target


@dataclass
class LiveStage:
    """Where an app is deployed to."""

    identity: StageIdentity
    target: Target
    clients: Clients
    session: Any
    aws: LocalAws
    folder: Path
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def deploy(self, app: App) -> dict[str, dict[str, str]]:
        """Deploy an app as `stagedoor deploy` does once its program has run, and return its outputs by stack."""
        assembly = read_assembly(by_http(Path(app.synth().directory)))
        inspect_assembly(assembly, self.target)
        output = self.folder / str(next(self._numbers))
        rewritten = rewrite_assembly(assembly, self.identity, self.target, output)
        return deploy(rewritten.assembly, self.identity, self.clients, MemoryLedger("1"), silent).outputs

    def remove(self) -> None:
        """Remove it as `stagedoor remove` does."""
        remove(self.identity, self.clients, MemoryLedger("2"), silent)

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.aws.endpoint)

    def bindings(self) -> dict[str, dict[str, str]]:
        """Return what the stacks tell of what can be bound, by `<kind>.<name>`."""
        told = [
            json.loads(output["OutputValue"])
            for stack in self.client("cloudformation").describe_stacks()["Stacks"]
            for output in stack.get("Outputs", ())
            if output["OutputKey"].startswith(BINDING_OUTPUT)
        ]
        return {f"{each['kind']}.{each['name']}": each for each in told}

    def call(self, function: str, event: object) -> Any:
        """Call a function of ours by its id, and return its result; what it raises fails the test."""
        return self.invoke(self.function(function), event)

    def function(self, construct_id: str) -> str:
        """Return what AWS calls a function of ours that stands in its stack by itself."""
        cloudformation = self.client("cloudformation")
        names: list[str] = [
            resource["PhysicalResourceId"]
            for stack in cloudformation.describe_stacks()["Stacks"]
            for resource in cloudformation.describe_stack_resources(StackName=stack["StackName"])["StackResources"]
            if resource["ResourceType"] == "AWS::Lambda::Function"
            and resource["LogicalResourceId"].startswith(f"{construct_id}Function")
        ]
        (name,) = names
        return name

    def invoke(self, name: str, event: object) -> Any:
        """Call a function by its name in AWS."""
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        result = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, result
        return result


def stage_in(account: str, identity: StageIdentity, aws: LocalAws, folder: Path) -> LiveStage:
    """Return a stage in an account, which is bootstrapped; this process's environment is to name the local AWS."""
    target = Target(name="local", account=account, region="us-east-1")
    clients = Clients(target)
    bucket = bootstrap(clients, target, silent).bucket
    stage = LiveStage(identity, target, clients, boto3.Session(account, "local", region_name="us-east-1"), aws, folder)
    stage.client("s3").delete_bucket_policy(Bucket=bucket)  # it denies what is not asked by TLS
    return stage


def by_http(assembly: Path) -> Path:
    """Take out of an assembly's policies that whoever asks without TLS is denied: the local AWS has HTTP alone."""
    for template in assembly.glob("*.template.json"):
        template.write_text(template.read_text().replace('"aws:SecureTransport": "false"', '"aws:SecureTransport": ""'))
    return assembly


def ask(stage: LiveStage, url: str, path: str = "", method: str = "GET", body: str | None = None, **headers: str):
    """Ask the local AWS, which knows by the host who is meant."""
    host = urlsplit(url).hostname or ""
    if ".execute-api." in host:
        host = stage.aws.url_for(url)[1]
    connection = http.client.HTTPConnection("127.0.0.1", stage.aws.port, timeout=30)
    connection.request(
        method, path, body, {"Host": host, "Content-Type": "text/plain", "X-Forwarded-Proto": "https", **headers}
    )
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), {name.lower(): value for name, value in answer.headers.items()}


def until_equal(found: Callable[[], Any], wanted: object, seconds: float = 30) -> None:
    """Wait until what is found is what is wanted; what differs when the time is over fails the test."""
    deadline = time.monotonic() + seconds
    while (value := found()) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    assert value == wanted, value


def eventually(found: Callable[[], Any], seconds: float = 60) -> Any:
    """Return what is found, as soon as there is something."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
    return value
