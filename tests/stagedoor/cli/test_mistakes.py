"""What a person can get wrong, and what the command says then: what is wrong, what to do, and an exit code."""

import json
import subprocess
from pathlib import Path

import boto3
import pytest

from tests.cloudformation.endpoint import ScriptedCloudFormation
from tests.stagedoor.cli.command import Command, stack_name, tiny_app


def wrong(done: subprocess.CompletedProcess[str], *said: str) -> None:
    assert done.returncode == 1, done.stderr
    assert "stagedoor/cli" not in done.stderr
    for text in said:
        assert text in done.stderr


def test_no_cdk_json(stagedoor: Command, tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    wrong(stagedoor.at(empty)("deploy", "--stage", "dev"), f"There is no cdk.json in {empty}.", "--app")


def test_bad_stage_name(stagedoor: Command):
    wrong(stagedoor("deploy", "--stage", "Dev_1"), "'Dev_1' cannot name a stage.", "lower-case letters")


def test_wrong_usage(stagedoor: Command):
    done = stagedoor("deploy", "--sage", "dev")
    assert done.returncode == 2
    assert "No such option '--sage'" in done.stderr


def test_no_credentials(stagedoor: Command):
    nobody = stagedoor.at(stagedoor.folder, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    wrong(nobody("deploy", "--stage", "dev"), "There are no AWS credentials.", "aws sso login")


def test_a_profile_that_is_not_there(stagedoor: Command):
    wrong(stagedoor("deploy", "--stage", "dev", "--profile", "nobody"), "nobody", "aws configure list-profiles")


def test_a_profile_comes_before_keys_in_the_environment(stagedoor: Command, tmp_path: Path):
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id=123456789012\naws_secret_access_key=local\n")
    other = stagedoor.at(stagedoor.folder, AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"))
    assert other.result("deploy", "--stage", "dev", "--profile", "other")["account"] == "123456789012"


def test_no_region(stagedoor: Command):
    nowhere = stagedoor.at(stagedoor.folder, AWS_REGION="", AWS_DEFAULT_REGION="")
    wrong(nowhere("deploy", "--stage", "dev"), "which AWS region", "--region")
    wrong(stagedoor("deploy", "--stage", "dev", "--region", "the moon"), "'the moon'")


def test_aws_cannot_be_reached(stagedoor: Command):
    away = stagedoor.at(stagedoor.folder, AWS_ENDPOINT_URL="http://127.0.0.1:1", AWS_MAX_ATTEMPTS="1")
    wrong(away("deploy", "--stage", "dev"), "AWS could not be reached.")


def test_not_bootstrapped(stagedoor: Command):
    program = stagedoor.folder / "app.py"
    # Too long to be sent: it goes by the bucket.
    long = 'template["Metadata"] = {"Words": "x" * 60_000}\n(out / "Tiny.template'
    program.write_text(program.read_text().replace('(out / "Tiny.template', long, 1))
    wrong(stagedoor("deploy", "--stage", "dev"), "has nothing prepared for assets", "stagedoor bootstrap")


def test_the_apps_own_error_with_its_place(stagedoor: Command):
    (stagedoor.folder / "word").unlink()
    done = stagedoor("deploy", "--stage", "dev")
    wrong(done, "ended with status 1: FileNotFoundError", "at app.py:6:", "Traceback (most recent call last)")


@pytest.mark.parametrize(
    ("tags", "whose"),
    [
        ({}, "it was not made by Stagedoor"),
        (
            {
                "stagedoor:app": "tiny",
                "stagedoor:stage": "dev",
                "stagedoor:service": "abc",
                "stagedoor:repository": "42",
            },
            "service 'abc'",
        ),
    ],
)
def test_a_stack_of_somebody_else(
    stagedoor: Command, aws: boto3.Session, account: dict[str, str], tags: dict[str, str], whose: str
):
    ours = stack_name(stagedoor)
    cloudformation = aws.client("cloudformation", endpoint_url=account["AWS_ENDPOINT_URL"])
    body = json.dumps({"Resources": {"Theirs": {"Type": "AWS::SNS::Topic"}}})
    cloudformation.create_stack(
        StackName=ours, TemplateBody=body, Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
    )
    wrong(stagedoor("deploy", "--stage", "dev"), f"'{ours}' already exists and", whose)
    stagedoor("remove", "--stage", "dev", "--yes")  # refuses, or finds nothing of its own
    assert cloudformation.describe_stacks(StackName=ours)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"


def test_a_stage_that_a_service_has_under_other_names(stagedoor: Command, aws: boto3.Session, account: dict[str, str]):
    tags = {"stagedoor:app": "tiny", "stagedoor:stage": "dev", "stagedoor:service": "abc", "stagedoor:repository": "42"}
    aws.client("cloudformation", endpoint_url=account["AWS_ENDPOINT_URL"]).create_stack(
        StackName="tiny-dev-0000-Tiny",
        TemplateBody=json.dumps({"Resources": {"Theirs": {"Type": "AWS::SNS::Topic"}}}),
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    for command in (["deploy"], ["remove", "--yes"]):
        wrong(stagedoor(*command, "--stage", "dev"), "service 'abc'", "through the service that owns it")


def test_a_mistake_in_stagedoor_toml(stagedoor: Command):
    (stagedoor.folder / "stagedoor.toml").write_text("[apps.tiny]\npaht = '.'\n")
    wrong(stagedoor("deploy", "--stage", "dev"), "stagedoor.toml, line 2", "at stagedoor.toml:2:1")


def test_several_apps(stagedoor: Command, tmp_path: Path):
    for name in ("one", "two"):
        tiny_app(tmp_path / "repository" / name)
    (tmp_path / "repository" / "stagedoor.toml").write_text("[apps.a]\npath = 'one'\n[apps.b]\npath = 'two'\n")
    root = stagedoor.at(tmp_path / "repository")
    wrong(root("deploy", "--stage", "dev"), "several apps: a, b", "--app")
    assert root.result("deploy", "--stage", "dev", "--app", "b")["app"] == "b"


def test_an_error_of_our_own_keeps_its_traceback(stagedoor: Command, tmp_path: Path):
    """A cache that cannot be made is nothing that the command expects."""
    (tmp_path / "file").write_text("")
    broken = stagedoor.at(stagedoor.folder, STAGEDOOR_CACHE_DIR=str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "preview").write_text("in the way")
    (stagedoor.folder / "requirements.txt").write_text("")
    done = broken("deploy", "--stage", "dev")
    assert done.returncode == 3, done.stderr
    assert "Stagedoor itself failed" in done.stderr
    (kept,) = (tmp_path / "cache" / "errors").iterdir()
    assert "Traceback" in kept.read_text()
    assert str(kept) in done.stderr


def test_what_cloudformation_refuses_in_lines(slow: Command, scripted: ScriptedCloudFormation):
    program = slow.folder / "app.py"
    frames = ["...new CfnParameter in aws-cdk-lib...", f"new Tiny ({program.resolve()}:6:8)"]
    made = [{"type": "aws:cdk:logicalId", "data": "Word"}, {"type": "aws:cdk:creationStack", "data": frames}]
    metadata = json.dumps({"/Tiny/Word": made})
    program.write_text(program.read_text().replace('"environment"', f'"metadata": {metadata}, "environment"'))
    scripted.account.fail(stack_name(slow), "Word", "There is no room.")
    wrong(slow("deploy", "--stage", "dev"), "Tiny/Word", "failed: There is no room.", "app.py:6:8", "deploy again")


def test_what_cloudformation_refuses_as_json(slow: Command, scripted: ScriptedCloudFormation):
    scripted.account.fail(stack_name(slow), "Word", "There is no room.")
    refused = slow.result("deploy", "--stage", "dev")
    assert not refused["ok"]
    assert refused["error"]["id"] == "deploy-failed"
    assert "There is no room." in refused["error"]["what"]
