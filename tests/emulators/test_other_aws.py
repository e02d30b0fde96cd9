"""One life of a stage on moto and on ministack: what the services say at its end is what the templates said."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from demo.aws.server import DEFAULT_ACCOUNT, LocalAws
from stagedoor.assembly.model import Assembly
from stagedoor.deploy import watch
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.remove import remove
from stagedoor.events import silent
from stagedoor.target import Target
from tests.emulators.moto_server import MOTO_ACCOUNT, running_moto
from tests.stagedoor.deploy.assemblies import IDENTITY, stack, template

Account = tuple[str, dict[str, str]]
MACHINE = {"StartAt": "Only", "States": {"Only": {"Type": "Pass", "Result": "WORD", "End": True}}}


@pytest.fixture(scope="module", params=["moto", "ministack"])
def account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An emulator's account, and the environment of whoever works in it."""
    folder = tmp_path_factory.mktemp("aws")
    if request.param == "moto":
        with running_moto(folder / "log") as environment:
            yield MOTO_ACCOUNT, environment
    else:
        with LocalAws(folder) as aws:
            yield DEFAULT_ACCOUNT, aws.environment()


@pytest.fixture
def clients(account: Account, monkeypatch: pytest.MonkeyPatch) -> Clients:
    # moto's events bear no token, so its operations end when the stack itself is asked: that need not take long here.
    monkeypatch.setattr(watch, "_SILENCE", 0.3)
    number, environment = account
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Clients(Target("other", number, "us-east-1"))


def shop(directory: Path, word: str) -> Assembly:
    """Two stacks with six types, all with names that say nothing of the emulator, and `word` in each."""
    directory.mkdir(parents=True)
    messages = template(
        {"Queue": {"Ref": "Queue"}},
        Queue=resource("SQS::Queue", QueueName="jobs", VisibilityTimeout=len(word)),
        Topic=resource("SNS::Topic", TopicName="news", DisplayName=word),
        Stream=resource("Kinesis::Stream", Name="clicks", ShardCount=1, RetentionPeriodHours=24 + len(word)),
    )
    trusted = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [trusted]}
    work = template(
        Word=resource("SSM::Parameter", Name="/shop/word", Type="String", Value=word),
        Role=resource("IAM::Role", RoleName="runner", Description=word, AssumeRolePolicyDocument=policy),
        Machine=resource(
            "StepFunctions::StateMachine",
            StateMachineName="machine",
            RoleArn={"Fn::GetAtt": ["Role", "Arn"]},
            DefinitionString=json.dumps(MACHINE).replace("WORD", word),
        ),
    )
    return Assembly(
        directory, (stack(directory, "Messages", messages), stack(directory, "Work", work, needs=("Messages",)))
    )


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def said() -> dict[str, Any]:
    """What each service says of what the templates say."""
    session = boto3.Session()
    sqs, sns, ssm = session.client("sqs"), session.client("sns"), session.client("ssm")
    url = sqs.get_queue_url(QueueName="jobs")["QueueUrl"]
    [topic] = [one["TopicArn"] for one in sns.list_topics()["Topics"]]
    role = session.client("iam").get_role(RoleName="runner")["Role"]
    [machine] = session.client("stepfunctions").list_state_machines()["stateMachines"]
    definition = session.client("stepfunctions").describe_state_machine(stateMachineArn=machine["stateMachineArn"])
    stream = session.client("kinesis").describe_stream_summary(StreamName="clicks")["StreamDescriptionSummary"]
    return {
        "queue": int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["VisibilityTimeout"]),
        "topic": sns.get_topic_attributes(TopicArn=topic)["Attributes"]["DisplayName"],
        "stream": (stream["OpenShardCount"], stream["RetentionPeriodHours"]),
        "parameter": ssm.get_parameter(Name="/shop/word")["Parameter"]["Value"],
        "role": role["Description"],
        "machine": json.loads(definition["definition"])["States"]["Only"]["Result"],
    }


def expected(word: str) -> dict[str, Any]:
    return {
        "queue": len(word),
        "topic": word,
        "stream": (1, 24 + len(word)),
        "parameter": word,
        "role": word,
        "machine": word,
    }


@pytest.mark.parametrize("alone", [True, False], ids=["at once", "by change sets"])
def test_a_stage_lives_alike_on_every_emulator(clients: Clients, tmp_path: Path, alone: bool):
    for run, word in enumerate(("hello", "goodbye")):
        ledger = MemoryLedger(f"{run}")
        deployed = deploy(shop(tmp_path / word, word), IDENTITY, clients, ledger, silent, alone=alone)
        assert said() == expected(word)
    again = deploy(shop(tmp_path / "again", "goodbye"), IDENTITY, clients, MemoryLedger("2"), silent, alone=alone)
    assert again.unchanged
    if alone:  # moto forgets the outputs of a stack that was changed by a change set
        assert deployed.outputs["Messages"]["Queue"].endswith("/jobs")

    removed = remove(IDENTITY, clients, MemoryLedger("3"), silent, deployed.stacks)
    assert len(removed.deleted) == 2
    assert boto3.Session().client("sqs").list_queues().get("QueueUrls", []) == []
    assert boto3.Session().client("ssm").describe_parameters()["Parameters"] == []
