"""A stage's life without a service, by the command alone."""

import http.client
import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from demo.aws.server import DEFAULT_ACCOUNT, LocalAws
from tests.stagedoor.cli.command import ROOT, Command


def test_deploy_change_and_remove(stagedoor: Command, account: dict[str, str], aws: boto3.Session):
    first = stagedoor("deploy", "--stage", "dev")
    assert first.returncode == 0, first.stderr
    output, _, parameter = first.stdout.strip().partition(" = ")
    assert output == "Tiny.Name"
    assert "The stage dev of tiny is deployed." in first.stderr
    assert "Word: created" in first.stderr
    assert "the word is" not in first.stderr
    ssm = aws.client("ssm", endpoint_url=account["AWS_ENDPOINT_URL"])
    assert ssm.get_parameter(Name=parameter)["Parameter"]["Value"] == "hello"

    again = stagedoor.result("deploy", "--stage", "dev")
    assert again["ok"]
    assert again["unchanged"]
    assert again["outputs"] == {"Tiny": {"Name": parameter}}

    assert "synth | All that the program can read is as it was" in stagedoor("deploy", "--stage", "dev").stderr
    assert "as it was: its assembly" not in stagedoor("deploy", "--stage", "dev", "--no-cache").stderr

    (stagedoor.folder / "word").write_text("changed")
    changed = stagedoor("deploy", "--stage", "dev", "--verbose")
    assert "synth | the word is changed" in changed.stderr
    assert ssm.get_parameter(Name=parameter)["Parameter"]["Value"] == "changed"

    removed = stagedoor.result("remove", "--stage", "dev", "--yes")
    assert len(removed["deleted"]) == 1
    cloudformation = aws.client("cloudformation", endpoint_url=account["AWS_ENDPOINT_URL"])
    assert cloudformation.describe_stacks()["Stacks"] == []
    assert "nothing to remove" in stagedoor("remove", "--stage", "dev", "--yes").stderr


def test_a_stage_goes_whose_app_is_no_longer_in_the_source(stagedoor: Command):
    stagedoor("deploy", "--stage", "dev")
    (stagedoor.folder / "cdk.json").unlink()
    assert stagedoor("deploy", "--stage", "dev").returncode == 1
    assert len(stagedoor.result("remove", "--stage", "dev", "--yes")["deleted"]) == 1


def test_a_stack_that_the_app_no_longer_has_goes_with_the_next_deploy(stagedoor: Command):
    stagedoor("deploy", "--stage", "dev")
    program = stagedoor.folder / "app.py"
    program.write_text(program.read_text().replace('{"Tiny": stack}', '{"Other": stack}'))
    stacks = stagedoor.result("deploy", "--stage", "dev")["stacks"]
    assert [stack["name"].rpartition("-")[2] for stack in stacks] == ["Other"]
    assert len(stagedoor.result("remove", "--stage", "dev", "--yes")["deleted"]) == 1


def test_a_stage_that_is_to_last_goes_only_by_its_name(stagedoor: Command):
    stagedoor("deploy", "--stage", "prod")
    refused = stagedoor("remove", "--stage", "prod", "--yes")
    assert refused.returncode == 1
    assert "Add --confirm prod." in refused.stderr
    assert stagedoor("remove", "--stage", "prod", "--confirm", "production").returncode == 1
    assert stagedoor("remove", "--stage", "prod", "--confirm", "prod").returncode == 0


def test_the_example_app(stagedoor: Command, tmp_path: Path, cli_aws: LocalAws):
    notes = tmp_path / "notes"
    shutil.copytree(
        ROOT / "examples" / "notes", notes, ignore=shutil.ignore_patterns(".venv", "cdk.out", "__pycache__")
    )
    assert "is prepared for deploys" in stagedoor("bootstrap").stderr
    assert "was prepared already" in stagedoor("bootstrap").stderr
    # The local AWS looks for the API of a request without credentials in this account alone.
    stagedoor = stagedoor.at(notes, **cli_aws.environment(DEFAULT_ACCOUNT))
    assert stagedoor("bootstrap").returncode == 0
    deployed = stagedoor.result("deploy", "--stage", "dev")
    assert deployed["ok"], deployed
    url = deployed["outputs"]["Notes"]["Url"]
    assert call(cli_aws, url, "GET", "/") == {"version": "notes 1"}
    note = call(cli_aws, url, "POST", "/notes", {"text": "hello"})
    assert call(cli_aws, url, "GET", f"/notes/{note['id']}") == {**note, "archived": True}

    handler = notes / "functions" / "notes" / "handler.py"
    handler.write_text(handler.read_text().replace('"notes 1"', '"notes 2"'))
    assert stagedoor.result("deploy", "--stage", "dev")["ok"]
    assert call(cli_aws, url, "GET", "/") == {"version": "notes 2"}

    removed = stagedoor.result("remove", "--stage", "dev", "--yes")
    assert removed["ok"]
    assert removed["kept"] == []
    session = boto3.Session(DEFAULT_ACCOUNT, "local", region_name="us-east-1")
    buckets = session.client("s3", endpoint_url=cli_aws.endpoint).list_buckets()["Buckets"]
    assert [bucket["Name"].split("-")[0] for bucket in buckets] == ["cdk"]
    assert session.client("dynamodb", endpoint_url=cli_aws.endpoint).list_tables()["TableNames"] == []
    assert session.client("logs", endpoint_url=cli_aws.endpoint).describe_log_groups()["logGroups"] == []


def call(aws: LocalAws, url: str, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, str]:
    where, host = aws.url_for(url.rstrip("/") + path)
    parts = urlsplit(where)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    headers = {"Host": host, "Content-Type": "application/json"}
    connection.request(method, parts.path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status in (200, 201), text
    found: dict[str, str] = json.loads(text)
    return found
