"""What an app looks up: a real app against the local AWS, and what a hostile one would like to know."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from demo.aws.server import LocalAws
from stagedoor.assembly.model import Level
from stagedoor.deploy.access import judges_request
from stagedoor.deploy.clients import Clients
from stagedoor.errors import UserError
from stagedoor.events import silent
from stagedoor.synth.context.kept_file import ContextFile
from stagedoor.synth.context.lookup import (
    PREVIEW_KEEPS,
    Account,
    NoLookupRole,
    NoProgress,
    look_up,
    synthesize_with_context,
)
from stagedoor.synth.context.providers import LookupFailed
from stagedoor.synth.context.query import Query, context_key, queries_of
from stagedoor.synth.synthesis import SynthRequest
from stagedoor.target import Target, Trust
from tests.stagedoor.assembly.conftest import cdk_python

APP = Path(__file__).with_name("looking_cdk_app.py")
TARGET = Target("local", "222222222222", "us-east-1")
HERE = {"account": TARGET.account, "region": TARGET.region}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as running:
        yield running.environment(TARGET.account)


@pytest.fixture(scope="module")
def found(environment: dict[str, str]) -> Iterator[dict[str, Any]]:
    """What an account has that the apps look for."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield _make(boto3.Session(region_name=TARGET.region))


def _make(aws: boto3.Session) -> dict[str, Any]:
    ec2, elb, kms = aws.client("ec2"), aws.client("elbv2"), aws.client("kms")
    tags = [{"Key": "owner", "Value": "a:b"}]
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16", TagSpecifications=[{"ResourceType": "vpc", "Tags": tags}])["Vpc"]
    tags = [{"Key": "group", "Value": "web"}]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc["VpcId"],
            CidrBlock=f"10.1.{number}.0/24",
            AvailabilityZone=f"us-east-1{zone}",
            TagSpecifications=[{"ResourceType": "subnet", "Tags": tags}],
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("ba")
    ]
    zone = aws.client("route53").create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/mine", TargetKeyId=key)
    balancer = elb.create_load_balancer(Name="mine", Subnets=subnets, Tags=[{"Key": "name", "Value": "mine"}])
    arn = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    elb.create_load_balancer(Name="other", Subnets=subnets)
    listener = elb.create_listener(LoadBalancerArn=arn, Port=443, Protocol="HTTPS", DefaultActions=[])["Listeners"][0]
    aws.client("ssm").put_parameter(Name="/a/parameter", Type="String", Value="found")
    aws.client("ssm").put_parameter(Name="/a/secret", Type="SecureString", Value="password")
    return {
        "vpc": vpc["VpcId"],
        "subnets": subnets,
        "zone": zone["Id"],
        "key": key,
        "balancer": arn,
        "listener": listener["ListenerArn"],
    }


@pytest.fixture
def account(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Account:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Account(TARGET, Clients(TARGET).lookup, judges_request)


def request(folder: Path) -> SynthRequest:
    app = folder / "app"
    app.mkdir(exist_ok=True)
    return SynthRequest(
        app_dir=app,
        output=folder / "cdk.out",
        stage="pr-1",
        account=TARGET.account,
        region=TARGET.region,
        cache_dir=folder / "cache",
        trust=Trust.PREVIEW,
    )


def test_a_real_app_is_told_all_that_it_asks_for(account: Account, found: dict[str, Any], tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    def synthesize(asked: SynthRequest) -> Path:
        told.append(dict(asked.context))
        environment = {
            "PATH": os.environ["PATH"],
            "CDK_OUTDIR": str(asked.output),
            "CDK_CONTEXT_JSON": json.dumps(dict(asked.context)),
            "CDK_DEFAULT_ACCOUNT": asked.account,
            "CDK_DEFAULT_REGION": asked.region,
            "CDK_VALIDATION": "false",
            "HOME": os.environ.get("HOME", "/tmp"),
        }
        subprocess.run([cdk_python(), APP], check=True, env=environment, stderr=subprocess.DEVNULL)
        return asked.output

    asked = request(tmp_path)
    kept = ContextFile(asked)
    assembly = synthesize_with_context(asked, synthesize, account, kept, silent)
    assert assembly.missing_context == ()
    assert [note.message for note in assembly.annotations if note.level is Level.ERROR] == []
    # The first answers led to more questions: the security group of the VPC that is there, not of a dummy.
    assert len(told) == 3
    values = {key.split(":", 1)[0]: value for key, value in told[-1].items()}
    assert values["hosted-zone"] == {"Id": found["zone"], "Name": "example.com."}
    assert values["key-provider"] == {"keyId": found["key"]}
    assert values["load-balancer"]["loadBalancerArn"] == found["balancer"]
    assert values["load-balancer-listener"]["listenerArn"] == found["listener"]
    assert values["availability-zones"][:2] == ["us-east-1a", "us-east-1b"]
    assert values["security-group"]["securityGroupId"].startswith("sg-")
    tagged = next(value for key, value in told[-1].items() if "tag:owner" in key)
    assert tagged["vpcId"] == found["vpc"]
    assert [group["name"] for group in tagged["subnetGroups"]] == ["web"]
    assert [each["subnetId"] for each in tagged["subnetGroups"][0]["subnets"]] == found["subnets"][::-1]
    missing = "ssm:account=222222222222:parameterName=/may/be/missing:region=us-east-1"
    assert told[-1][missing] == "else"
    assert kept.read() == {key: value for key, value in told[-1].items() if key != missing}


def query(provider: str, **properties: Any) -> Query:
    properties = {**HERE, **properties}
    return Query(context_key(provider, properties), provider, properties)


def answer(account: Account, asked: Query) -> Any:
    answers = look_up([asked], account, silent)
    for failure in answers.failed.values():
        raise failure
    return answers.found[asked.key]


def test_cloud_control_by_identifier_and_by_properties(account: Account) -> None:
    made = (
        boto3.Session()
        .client("cloudcontrol")
        .create_resource(TypeName="AWS::SQS::Queue", DesiredState=json.dumps({"QueueName": "jobs"}))
    )
    url = made["ProgressEvent"]["Identifier"]
    exact = query("cc-api-provider", typeName="AWS::SQS::Queue", exactIdentifier=url, propertiesToReturn=["QueueName"])
    assert answer(account, exact) == [{"QueueName": "jobs", "Identifier": url}]
    wanted = {"propertyMatch": {"QueueName": "jobs"}, "expectedMatchCount": "exactly-one"}
    matching = query("cc-api-provider", typeName="AWS::SQS::Queue", propertiesToReturn=["QueueName"], **wanted)
    assert answer(account, matching) == [{"QueueName": "jobs", "Identifier": url}]


REFUSED: dict[str, tuple[Query, str]] = {
    "another account": (query("ssm", parameterName="/a/parameter", account="333333333333"), "foreign-lookup"),
    "another region": (query("availability-zones", region="eu-west-1"), "foreign-lookup"),
    "a plugin": (query("plugin", pluginName="mine"), "unknown-context-provider"),
    "a provider of tomorrow": (query("moon-phase"), "unknown-context-provider"),
    "a parameter that is not there": (query("ssm", parameterName="/nobody"), "lookup-failed"),
    "a secret parameter": (query("ssm", parameterName="/a/secret"), "secret-lookup"),
    "a parameter without a name": (query("ssm"), "invalid-lookup"),
    "a name that is none": (query("ssm", parameterName=["/a"]), "invalid-lookup"),
    "several VPCs": (query("vpc-provider", filter={}), "lookup-failed"),
    "no VPC": (query("vpc-provider", filter={"tag:owner": "nobody"}), "lookup-failed"),
    "a filter that is none": (query("vpc-provider", filter={"tag:owner": 1}), "invalid-lookup"),
    "a group that AWS does not know": (query("security-group", securityGroupId="sg-123"), "lookup-failed"),
    "a group by two names": (query("security-group", securityGroupId="a", securityGroupName="b"), "invalid-lookup"),
    "a zone that is not there": (query("hosted-zone", domainName="example.org"), "lookup-failed"),
    "an image that is not there": (query("ami", filters={"name": ["nobody"]}), "lookup-failed"),
    "a key that is not there": (query("key-provider", aliasName="alias/nobody"), "lookup-failed"),
    "a balancer without a name": (query("load-balancer", loadBalancerType="network"), "invalid-lookup"),
    "a type that is none": (
        query("cc-api-provider", typeName="A", exactIdentifier="x", propertiesToReturn=[]),
        "invalid-lookup",
    ),
    "a secret by cloud control": (
        query("cc-api-provider", typeName="AWS::SecretsManager::Secret", propertyMatch={"Name": "x"}),
        "secret-lookup",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_told(account: Account, found: dict[str, Any], what: str) -> None:
    asked, error_id = REFUSED[what]
    with pytest.raises(UserError) as caught:
        answer(account, asked)
    assert caught.value.id == error_id, caught.value
    assert "password" not in str(caught.value)


def test_what_the_lookup_role_may_not_read_is_told_with_its_call(account: Account) -> None:
    def denied(_service: str) -> Any:
        error = {"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}
        raise ClientError(error, "DescribeAvailabilityZones")  # type: ignore[arg-type]

    with pytest.raises(LookupFailed, match="lookup role may not call DescribeAvailabilityZones"):
        answer(replace(account, client=denied), query("availability-zones"))


def test_a_key_that_says_something_else_than_was_asked_is_not_kept(
    account: Account, found: dict[str, Any], tmp_path: Path
) -> None:
    """Or one pull request could decide which VPC the next one is told."""
    lie = query("vpc-provider", filter={"tag:owner": "the team"})
    entry = {"key": lie.key, "provider": "ssm", "props": {**HERE, "parameterName": "/a/parameter"}}
    kept = ContextFile(request(tmp_path))
    assembly = synthesize_with_context(request(tmp_path), asking(entry), account, kept, silent)
    assert assembly.missing_context == ()
    assert kept.read() == {}


def test_an_app_that_asks_for_what_it_was_told(account: Account, found: dict[str, Any], tmp_path: Path) -> None:
    entry = {"key": "zones", "provider": "availability-zones", "props": HERE}
    with pytest.raises(NoProgress, match="was told 'zones'"):
        synthesize_with_context(
            request(tmp_path), asking(entry, entry), account, ContextFile(request(tmp_path)), silent
        )


def test_an_app_that_never_stops_asking(account: Account, found: dict[str, Any], tmp_path: Path) -> None:
    entries = [{"key": str(number), "provider": "availability-zones", "props": HERE} for number in range(20)]
    with pytest.raises(NoProgress, match="after 8 synths"):
        synthesize_with_context(request(tmp_path), asking(*entries), account, ContextFile(request(tmp_path)), silent)


def test_what_the_app_has_written_down_comes_before_what_is_kept(account: Account, tmp_path: Path) -> None:
    asked = request(tmp_path)
    ContextFile(asked).keep({"zones": ["kept"], "vpc": "kept"})
    (asked.app_dir / "cdk.context.json").write_text('{"zones": ["committed"]}')
    told: list[Any] = []
    synthesize_with_context(asked, asking(told=told), account, ContextFile(asked), silent)
    assert told == [{"vpc": "kept"}]


def test_the_account_is_looked_into_as_the_targets_lookup_role(account: Account) -> None:
    role = f"arn:aws:iam::{TARGET.account}:role/looks"
    target = replace(TARGET, deploy_role=f"arn:aws:iam::{TARGET.account}:role/deploys", lookup_role=role)
    looking = Account(target, Clients(target).lookup, judges_request)
    assert answer(looking, query("availability-zones"))[0] == "us-east-1a"
    assert ":assumed-role/looks/" in looking.client("sts").get_caller_identity()["Arn"]
    with pytest.raises(NoLookupRole, match="no role for looking"):
        answer(replace(looking, target=replace(target, lookup_role=None)), query("availability-zones"))


def test_what_is_kept_grows_old_for_previews_and_is_apart_by_all_that_decides_it(tmp_path: Path) -> None:
    asked = request(tmp_path)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    ContextFile(asked, lambda: now).keep({"zones": ["a"]})
    later = now + PREVIEW_KEEPS
    assert ContextFile(asked, lambda: later - timedelta(seconds=1)).read() == {"zones": ["a"]}
    assert ContextFile(asked, lambda: later).read() == {}
    lasting = replace(asked, trust=Trust.PRODUCTION)
    others = [lasting, replace(asked, account="3" * 12), replace(asked, region="eu-west-1")]
    assert [ContextFile(other, lambda: now).read() for other in others] == [{}, {}, {}]
    ContextFile(lasting, lambda: now).keep({"zones": ["a"]})
    assert ContextFile(lasting, lambda: now + timedelta(days=3_000)).read() == {"zones": ["a"]}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"value": 1, "read_at": "soon"}}'])
def test_a_file_that_somebody_spoiled_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    kept = ContextFile(request(tmp_path))
    kept.keep({"zones": ["a"]})
    (file,) = (tmp_path / "cache" / "context").iterdir()
    file.write_text(text)
    assert kept.read() == {}
    kept.keep({"zones": ["b"]})
    assert kept.read() == {"zones": ["b"]}


NO_QUESTIONS: list[dict[str, Any]] = [
    {},
    {"key": 1, "provider": "ssm", "props": {}},
    {"key": "a", "provider": "ssm"},
    {"key": "a\ud800", "provider": "ssm", "props": {}},
    {"key": "a", "provider": "ssm", "props": {"parameterName": "\ud800"}},
    {"key": "a", "provider": "ssm", "props": {"parameterName": "a\0"}},
    {"key": "a", "provider": "ssm", "props": {"x": [[[[[[[[[[[[]]]]]]]]]]]]}},
    {"key": "a" * 2_001, "provider": "ssm", "props": {}},
]


@pytest.mark.parametrize("entry", NO_QUESTIONS)
def test_a_question_of_no_known_shape(entry: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        queries_of((entry,))
    assert caught.value.id == "invalid-lookup"


def asking(*entries: dict[str, Any], told: list[Any] | None = None) -> Callable[[SynthRequest], Path]:
    """A synth that asks for one entry at a time, and then for nothing more; `told` gets the contexts given to it."""
    waiting = iter(entries)

    def synthesize(asked: SynthRequest) -> Path:
        if told is not None:
            told.append(asked.context)
        asked.output.mkdir()
        (asked.output / "Only.template.json").write_text("{}")
        stack = {
            "type": "aws:cloudformation:stack",
            "environment": "aws://unknown-account/unknown-region",
            "properties": {"templateFile": "Only.template.json"},
        }
        missing = [entry] if (entry := next(waiting, None)) else []
        manifest = {"version": "55.0.0", "artifacts": {"Only": stack}, "missing": missing}
        (asked.output / "manifest.json").write_text(json.dumps(manifest))
        return asked.output

    return synthesize
