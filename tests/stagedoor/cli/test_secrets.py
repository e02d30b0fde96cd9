"""`stagedoor secrets`, and what a deploy and a removal have to do with them."""

import json
import subprocess
from pathlib import Path

import boto3
import pytest

from stagedoor.cli.app_folder import find_app
from stagedoor.naming import parameter_folder
from tests.stagedoor.cli.bound_app import bound_app
from tests.stagedoor.cli.command import Command, tiny_app


@pytest.fixture
def shop(tmp_path: Path, account: dict[str, str]) -> Command:
    """The command in the folder of an app that needs the secret StripeKey."""
    return Command(bound_app(tmp_path / "shop"), account)


def say(stagedoor: Command, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a text on its stdin."""
    process = stagedoor.start(*words, stdin=subprocess.PIPE)
    out, err = process.communicate(text, timeout=120)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def test_a_deploy_wants_them_set_and_a_removal_takes_them_away(shop: Command):
    refused = shop("deploy", "--stage", "dev")
    assert refused.returncode == 1
    assert "The app needs StripeKey, set neither for the stage dev nor for all stages." in refused.stderr
    assert "  stagedoor secrets set StripeKey --stage dev\n" in refused.stderr
    unset = shop("secrets", "list", "--check", "--stage", "dev")
    assert (unset.returncode, unset.stdout) == (1, "StripeKey\tnot set\t\t\n")

    assert say(shop, "sk_all\n", "secrets", "set", "StripeKey", "--fallback").returncode == 0
    deployed = shop.result("deploy", "--stage", "dev")
    assert deployed["ok"], deployed
    assert deployed["outputs"]["Tiny"].keys() == {"Name"}
    assert (shop.folder / "stagedoor_resources.pyi").is_file()
    own = say(shop, "sk_dev\n", "secrets", "set", "StripeKey", "--stage", "dev")
    assert "StripeKey is set for the stage dev." in own.stderr
    assert "sk_dev" not in own.stdout + own.stderr
    assert shop("secrets", "get", "StripeKey", "--stage", "dev").stdout == "sk_dev\n"
    assert shop("secrets", "get", "StripeKey", "--stage", "other").stdout == "sk_all\n"
    listed = shop("secrets", "list", "--check", "--stage", "dev").stdout.splitlines()
    assert [line.split("\t")[:3] for line in listed] == [
        ["StripeKey", "all stages", "secret"],
        ["StripeKey", "dev", "secret"],
    ]

    assert shop.result("remove", "--stage", "dev", "--yes")["ok"]
    assert shop("secrets", "get", "StripeKey", "--stage", "dev").stdout == "sk_all\n"
    assert shop.result("secrets", "remove", "StripeKey", "--fallback")["names"] == ["StripeKey"]
    gone = shop("secrets", "get", "StripeKey", "--stage", "dev")
    assert (gone.returncode, gone.stdout) == (1, "")


def test_a_file_of_them_and_what_is_refused(stagedoor: Command, aws: boto3.Session, account: dict[str, str]):
    file = "# secrets\nexport STRIPE_KEY='sk test'\nWORD=\"two\\nlines\"\n"
    assert (
        "STRIPE_KEY, WORD are set for the stage dev"
        in say(stagedoor, file, "secrets", "load", "-", "--stage", "dev").stderr
    )
    assert stagedoor("secrets", "get", "WORD", "--stage", "dev").stdout == "two\nlines\n"
    assert say(stagedoor, "5", "secrets", "set", "WORD", "--plain", "--stage", "dev").returncode == 0
    folder = parameter_folder("tiny", find_app(stagedoor.folder).repository.id)
    ssm = aws.client("ssm", endpoint_url=account["AWS_ENDPOINT_URL"])
    kinds = {one["Name"]: one["Type"] for one in ssm.get_parameters_by_path(Path=folder, Recursive=True)["Parameters"]}
    assert kinds == {f"{folder}/dev/STRIPE_KEY": "SecureString", f"{folder}/dev/WORD": "String"}

    for text, words, told in (
        ("5", ("set", "stripe-key"), "'stripe-key' cannot be written as Secret.stripe-key in code."),
        ("", ("set", "WORD"), "The value of WORD is empty."),
        ("x" * 4097, ("set", "WORD"), "The value of WORD has 4,097 bytes; the parameter store takes 4,096."),
        ("FINE=1\nno value here\n", ("load", "-"), "gives no variable a value"),
        ("", ("remove", "FINE"), "FINE was not set for the stage dev."),
    ):
        done = say(stagedoor, text, "secrets", *words, "--stage", "dev")
        assert done.returncode == 1
        assert told in done.stderr


def test_of_a_stage_that_a_service_deploys(
    stagedoor: Command, aws: boto3.Session, account: dict[str, str], tmp_path: Path
):
    unknown = say(stagedoor, "x", "secrets", "set", "Key", "--stage", "pr-1")
    assert "--repository github.com/<id>" in unknown.stderr
    tags = {"app": "tiny", "stage": "pr-1", "repository": "github.com/77", "service": "s1"}
    template = {"Resources": {"Word": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "x"}}}}
    aws.client("cloudformation", endpoint_url=account["AWS_ENDPOINT_URL"]).create_stack(
        StackName="tiny-pr-1-abcdef-Tiny",
        TemplateBody=json.dumps(template),
        Tags=[{"Key": f"stagedoor:{key}", "Value": value} for key, value in tags.items()],
    )
    assert say(stagedoor, "x", "secrets", "set", "Key", "--stage", "pr-1").returncode == 0
    ssm = aws.client("ssm", endpoint_url=account["AWS_ENDPOINT_URL"])
    assert ssm.get_parameter(Name=f"{parameter_folder('tiny', 'github.com/77')}/pr-1/Key")["Parameter"]
    assert say(stagedoor, "theirs", "secrets", "set", "Key", "--fallback").returncode == 0
    assert stagedoor.result("deploy", "--stage", "dev")["ok"]
    assert say(stagedoor, "ours", "secrets", "set", "Key", "--fallback").returncode == 0  # two owners: this machine's
    assert stagedoor("secrets", "get", "Key", "--stage", "dev").stdout == "ours\n"
    theirs = stagedoor("secrets", "get", "Key", "--fallback", "--repository", "github.com/77")
    assert theirs.stdout == "theirs\n"
    other = stagedoor.at(tiny_app(tmp_path / "other"))
    assert "--repository" in say(other, "x", "secrets", "set", "Key", "--stage", "pr-1").stderr
