"""Values for the app's CloudFormation parameters, given to the command."""

import boto3

from tests.stagedoor.cli.command import Command


def ask_for_a_word(stagedoor: Command) -> None:
    """Let the tiny app's template take its word from a parameter without a default."""
    program = stagedoor.folder / "app.py"
    text = program.read_text().replace('pathlib.Path("word").read_text()}}', '{"Ref": "Word"}}}')
    declared = '{"Parameters": {"Word": {"Type": "String"}}, "Resources": {"It": word}, "Outputs": {"Name": '
    text = text.replace('{"Resources": {"Word": word}, "Outputs": {"Name": ', declared)
    program.write_text(text.replace('{"Ref": "Word"}}}}\n(out', '{"Ref": "It"}}}}\n(out'))


def test_a_parameter_is_given_and_kept(stagedoor: Command, aws: boto3.Session, account: dict[str, str]):
    ask_for_a_word(stagedoor)
    ssm = aws.client("ssm", endpoint_url=account["AWS_ENDPOINT_URL"])
    first = stagedoor.result("deploy", "--stage", "dev", "--parameter", "Word=hello=there")
    assert first["ok"], first
    assert ssm.get_parameter(Name=first["outputs"]["Tiny"]["Name"])["Parameter"]["Value"] == "hello=there"
    assert stagedoor.result("deploy", "--stage", "dev")["unchanged"]
    second = stagedoor.result("deploy", "--stage", "dev", "--parameter", "Tiny:Word=bye")
    assert ssm.get_parameter(Name=second["outputs"]["Tiny"]["Name"])["Parameter"]["Value"] == "bye"


def test_a_parameter_that_nobody_declares(stagedoor: Command):
    refused = stagedoor("deploy", "--stage", "dev", "--parameter", "Other:Name=x")
    assert refused.returncode == 1
    assert "The stack 'Other' declares no parameter 'Name'." in refused.stderr
    assert "Write NAME=VALUE" in stagedoor("deploy", "--stage", "dev", "--parameter", "Word").stderr
