"""An app that asks for facts about the account, by the command alone."""

import boto3

from tests.stagedoor.cli.command import Command
from tests.stagedoor.synth.looking_app import LOOKS_UP


def test_what_an_app_looks_up_is_given_to_it_and_kept(stagedoor: Command, account: dict[str, str], aws: boto3.Session):
    (stagedoor.folder / "app.py").write_text(LOOKS_UP)
    ssm = aws.client("ssm", endpoint_url=account["AWS_ENDPOINT_URL"])
    ssm.put_parameter(Name="/which", Type="String", Value="/this")
    failed = stagedoor.result("deploy", "--stage", "dev")
    assert (failed["error"]["id"], failed["error"]["what"]) == (
        "lookup-failed",
        "There is no SSM parameter '/this' in the target.",
    )

    ssm.put_parameter(Name="/this", Type="String", Value="found")
    assert stagedoor.result("deploy", "--stage", "dev")["outputs"] == {"Tiny": {"Is": "found"}}

    ssm.put_parameter(Name="/this", Type="String", Value="changed", Overwrite=True)
    again = stagedoor.result("deploy", "--stage", "dev")
    assert (again["unchanged"], again["outputs"]) == (True, {"Tiny": {"Is": "found"}})
    assert not (stagedoor.folder / "cdk.context.json").exists()

    stagedoor("remove", "--stage", "dev", "--yes")
