"""What the stage decides, and what an app's author is told who writes what there is not."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk
import pytest

from stagedoor.assembly.reader import read_assembly
from stagedoor.constructs import App, Bucket, ConstructError, Cron, EventBus, Parameter, Queue, Secret, Stack, Table
from tests.stagedoor.constructs.everything import write_functions

Resources = dict[str, list[dict[str, Any]]]


def resources(app: App, folder: Path) -> Resources:
    """Return the resources of a stack with one of each that keeps data, by type."""
    write_functions(folder)
    stack = Stack(app, "Data")
    Table(stack, "Notes", partition_key="id")
    Bucket(stack, "Files")
    Queue(stack, "Jobs", consumer={"handler": "functions/greet.handle", "timeout": 20})
    Cron(stack, "Nightly", "rate(1 day)", "functions/greet.handle", enabled=["prod*"])
    Secret(stack, "StripeKey")
    Parameter(stack, "Greeting", default="Hello")
    found: Resources = {}
    for resource in app.synth().get_stack_artifact("Data").template["Resources"].values():
        found.setdefault(resource["Type"], []).append(resource)
    return found


def test_an_assembly_says_for_which_stage_it_was_made_where_a_construct_asked(
    new_app: Callable[..., App], app_folder: Path
):
    app = new_app()
    resources(app, app_folder)
    assert read_assembly(Path(app.outdir)).made_for == {"pr-1"}
    plain = aws_cdk.App(outdir=str(app_folder / "plain"))
    aws_cdk.Stack(plain, "Plain")
    plain.synth()
    assert read_assembly(app_folder / "plain").made_for == frozenset()
    table = aws_cdk.App(outdir=str(app_folder / "table"))
    Table(aws_cdk.Stack(table, "Plain"), "Notes", partition_key="id")
    table.synth()
    assert read_assembly(app_folder / "table").made_for == {"pr-1"}


def test_a_preview_goes_whole(new_app: Callable[..., App], app_folder: Path):
    found = resources(new_app(), app_folder)
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"):
        assert {each["DeletionPolicy"] for each in found[kind]} == {"Delete"}
    [table] = found["AWS::DynamoDB::Table"]
    assert table["Properties"]["DeletionProtectionEnabled"] is False
    [jobs] = [each for each in found["AWS::SQS::Queue"] if "RedrivePolicy" in each["Properties"]]
    assert jobs["Properties"]["VisibilityTimeout"] == 120
    [cron] = found["AWS::Scheduler::Schedule"]
    assert cron["Properties"]["State"] == "DISABLED"
    assert not {kind for kind in found if "SSM" in kind or "Secret" in kind}


def test_a_stage_that_is_to_last_keeps_its_data(
    new_app: Callable[..., App], app_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STAGEDOOR_STAGE", "prod")
    monkeypatch.setenv("STAGEDOOR_LASTING", "1")
    found = resources(new_app(), app_folder)
    for kind in ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"):
        assert {each["DeletionPolicy"] for each in found[kind]} == {"Retain"}
    [table] = found["AWS::DynamoDB::Table"]
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["DeletionProtectionEnabled"] is True
    [cron] = found["AWS::Scheduler::Schedule"]
    assert cron["Properties"]["State"] == "ENABLED"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda stack: Table(stack, "T", partition_key="id: text"), "'text' is not known here. Write one of string"),
        (
            lambda stack: Table(stack, "T", partition_key="id", indexes={"I": {"sort_key": "a"}}),
            "It has a partition_key",
        ),
        (
            lambda stack: Queue(stack, "Q", consumer="functions/greet.handle", visibility_timeout=5),
            "Leave visibility_timeout out, which makes it 120.",
        ),
        (lambda stack: Queue(stack, "Q", consumer="functions/greet.handle", batch_size=50), "Write batch_window=1"),
        (lambda stack: Queue(stack, "Q", dead_letters="letters"), "str is no queue for dead letters."),
        (lambda stack: Queue(stack, "Q", cdk={"bucket": {}}), "There are: queue, dead_letters, mapping."),
        (lambda stack: Queue(stack, "my-jobs"), "Use letters, digits and underscores"),
        (
            lambda stack: Bucket(stack, "B", notifications={"N": {"to": "functions/greet.handle", "event": "created"}}),
            "There is no 'event' here. Write {\"to\": …} with any of events, prefix, suffix.",
        ),
        (lambda stack: Bucket(stack, "B", cors={"methods": ["GET"]}), "Write origins"),
        (lambda stack: EventBus(stack, "E", rules={"R": {"to": "functions/greet.handle"}}), "A rule has a pattern"),
        (lambda stack: Cron(stack, "C", "daily", "functions/greet.handle"), "'daily' is no schedule."),
        (
            lambda stack: Table(stack, "T", partition_key="id").binding.with_access("own"),
            "What it can be bound for: read",
        ),
    ],
)
def test_a_mistake_is_told_with_what_to_write(
    make: Callable[[Stack], object], told: str, new_app: Callable[..., App], app_folder: Path
):
    write_functions(app_folder)
    with pytest.raises(ConstructError) as raised:
        make(Stack(new_app(), "Data"))
    assert told in str(raised.value)


def test_an_app_with_a_table_waits_for_no_other_service():
    program = "import sys; from stagedoor.constructs import App, Stack, Table, bind; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "aws_cdk.aws_dynamodb" in loaded
    assert not {"aws_cdk.aws_lambda", "aws_cdk.aws_s3", "aws_cdk.aws_sqs", "aws_cdk.aws_ssm"} & set(loaded)
