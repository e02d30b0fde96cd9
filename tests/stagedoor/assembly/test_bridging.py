"""What bridging does to a stage's templates: which functions become live, why others do not, and what goes with it."""

import hashlib
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.bridged_functions import BridgedFunction
from stagedoor.assembly.bridging.model import Bridges
from stagedoor.assembly.model import Assembly, Rewritten
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from tests.stagedoor.assembly.closure import all_templates, dangling
from tests.stagedoor.assembly.conftest import TARGET, Write, file_asset, identity, python_with, template_of, without
from tests.stagedoor.assembly.test_lint import CFN_LINT, templates

BRIDGES = Bridges("https://stages.example.com", "17", b"the layer's zip", "/opt/stagedoor/bridge")
EMULATED = Bridges(BRIDGES.server, "17", b"the code's zip", "", emulator="http://127.0.0.1:4566")
KEY = f"{hashlib.sha256(BRIDGES.archive).hexdigest()}.zip"
TRUSTED_BY_CLOUDFRONT = {
    "Statement": [{"Principal": {"Service": ["lambda.amazonaws.com", "edgelambda.amazonaws.com"]}}]
}


def function(**properties: Any) -> dict[str, Any]:
    usual = {"Runtime": "python3.12", "Handler": "index.handler", "Code": {"ZipFile": "def handler(): 0"}, "Role": "r"}
    return {"Type": "AWS::Lambda::Function", "Properties": {**usual, **properties}}


def queue(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": properties}


def event_source(queue_arn: Any, name: str = "Work") -> dict[str, Any]:
    properties = {"FunctionName": {"Ref": name}, "EventSourceArn": queue_arn}
    return {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties}


def other(type_name: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{type_name}", "Properties": properties}


def bridge(directory: Path, bridges: Bridges = BRIDGES, name: str = "stage.out") -> Rewritten:
    assembly = read_assembly(directory)
    return rewrite_assembly(assembly, identity("dev-mona"), TARGET, directory.with_name(name), bridges)


def resources_of(rewritten: Rewritten, stack: str = "Only") -> dict[str, Any]:
    found: dict[str, Any] = template_of(rewritten.assembly, stack)["Resources"]
    return found


def one(rewritten: Rewritten, logical_id: str = "Work") -> BridgedFunction:
    (found,) = [function for function in rewritten.functions if function.logical_id == logical_id]
    return found


def test_a_function_keeps_what_it_has_and_gets_a_bridge(write: Write) -> None:
    variables = {"TABLE": {"Ref": "Notes"}, "AWS_LAMBDA_EXEC_WRAPPER": "/opt/otel-instrument"}
    work = function(
        Timeout=10, Layers=["arn:aws:lambda:us-east-1:1:layer:otel:1"], Environment={"Variables": variables}
    )
    rewritten = bridge(write({"Only": {"Resources": {"Work": work, "Notes": other("SNS::Topic")}}}))
    found = resources_of(rewritten)
    assert found["Work"]["Properties"] == {
        **work["Properties"],
        "Timeout": 900,
        "Layers": ["arn:aws:lambda:us-east-1:1:layer:otel:1", {"Ref": "StagedoorBridgeLayer"}],
        "Environment": {
            "Variables": {
                "TABLE": {"Ref": "Notes"},
                "AWS_LAMBDA_EXEC_WRAPPER": "/opt/stagedoor/bridge",
                "STAGEDOOR_LIVE_SERVER": "https://stages.example.com",
                "STAGEDOOR_LIVE_STAGE": "17",
                "STAGEDOOR_LIVE_TIMEOUT": "10",
                "STAGEDOOR_LIVE_WRAPPER": "/opt/otel-instrument",
            }
        },
    }
    layer = found["StagedoorBridgeLayer"]
    bucket = "cdk-previews-assets-123456789012-us-east-1"
    assert layer["Type"] == "AWS::Lambda::LayerVersion"
    assert layer["Properties"]["Content"] == {"S3Bucket": bucket, "S3Key": KEY}
    (asset,) = rewritten.assembly.stack("Only").assets
    assert (asset.source.read_bytes(), asset.claimed_hash) == (BRIDGES.archive, KEY.removesuffix(".zip"))
    assert one(rewritten) == BridgedFunction("Only", "Work", "Only/Work", "python3.12", "index.handler", 10, live=True)


SUBNET = other("EC2::Subnet")
ROUTED = other("EC2::SubnetRouteTableAssociation", SubnetId={"Ref": "Subnet"}, RouteTableId={"Ref": "Table"})
TO_INTERNET = {"RouteTableId": {"Ref": "Table"}, "DestinationCidrBlock": "0.0.0.0/0"}
IN_SUBNET = function(VpcConfig={"SubnetIds": [{"Ref": "Subnet"}]})


@pytest.mark.parametrize(
    ("work", "beside", "reason"),
    [
        (function(Runtime="java21"), {}, "Its runtime is java21"),
        (function(PackageType="Image", Code={"ImageUri": "x"}), {}, "container image"),
        (function(SnapStart={"ApplyOn": "PublishedVersions"}), {}, "SnapStart"),
        (function(DurableConfig={"ExecutionTimeout": 60}), {}, "durable"),
        (function(CodeSigningConfigArn="arn:x"), {}, "signed"),
        (function(Layers=["a", "b", "c", "d", "e"]), {}, "5 layers"),
        (function(Environment={"Variables": {"LONG": "x" * 4000}}), {}, "4 KB"),
        (function(Environment={"Fn::If": ["Yes", {}, {}]}), {}, "expression"),
        (
            function(),
            {"Url": other("Lambda::Url", InvokeMode="RESPONSE_STREAM", TargetFunctionArn={"Fn::GetAtt": "Work.Arn"})},
            "streams",
        ),
        (function(), {"Made": other("X::Y", ServiceToken={"Fn::GetAtt": ["Work", "Arn"]})}, "CloudFormation"),
        (
            function(),
            {"Seed": {"Type": "Custom::StagedoorScript", "Properties": {"Functions": {"update": {"Ref": "Work"}}}}},
            "CloudFormation",
        ),
        (
            function(),
            {"Wraps": function(Environment={"Variables": {"USER_ON_EVENT_FUNCTION_ARN": {"Fn::GetAtt": "Work.Arn"}}})},
            "CloudFormation",
        ),
        (
            function(Role={"Fn::GetAtt": ["Role", "Arn"]}),
            {"Role": other("IAM::Role", AssumeRolePolicyDocument=TRUSTED_BY_CLOUDFRONT)},
            "at the edge",
        ),
        (
            IN_SUBNET,
            {"Subnet": SUBNET, "Table": other("EC2::RouteTable"), "In": ROUTED},
            "Its subnet Subnet has no way",
        ),
        (
            IN_SUBNET,
            {"Subnet": SUBNET, "Table": other("EC2::RouteTable"), "In": ROUTED}
            | {"Out": other("EC2::Route", **TO_INTERNET, GatewayId={"Ref": "Internet"})}
            | {"Internet": other("EC2::InternetGateway")},
            "Its subnet Subnet has no way",
        ),
    ],
)
def test_what_cannot_be_live_stays_as_it_is_and_says_why(
    write: Write, work: dict[str, Any], beside: dict[str, Any], reason: str
) -> None:
    rewritten = bridge(write({"Only": {"Resources": {"Work": work, **beside}}}))
    assert resources_of(rewritten)["Work"] == work
    assert not one(rewritten).live
    assert reason in one(rewritten).reason


def test_a_nat_gateway_is_a_way_out_and_a_foreign_subnet_cannot_be_told(write: Write) -> None:
    beside = {
        "Subnet": SUBNET,
        "Table": other("EC2::RouteTable"),
        "In": ROUTED,
        "Out": other("EC2::Route", **TO_INTERNET, NatGatewayId={"Ref": "Nat"}),
        "Nat": other("EC2::NatGateway"),
        "Foreign": function(VpcConfig={"SubnetIds": ["subnet-1"]}),
    }
    rewritten = bridge(write({"Only": {"Resources": {"Work": IN_SUBNET, **beside}}}))
    assert (one(rewritten).live, one(rewritten).reason) == (True, "")
    assert one(rewritten, "Foreign").live
    assert "cannot be told" in one(rewritten, "Foreign").reason


def test_queues_hide_their_messages_for_as_long_as_a_function_may_run(write: Write) -> None:
    rewritten = bridge(
        write(
            {
                "Data": {
                    "Resources": {"Jobs": queue(VisibilityTimeout=60), "Idle": queue()},
                    "Outputs": {"Jobs": {"Value": {"Fn::GetAtt": ["Jobs", "Arn"]}, "Export": {"Name": "jobs"}}},
                },
                "Only": {
                    "Resources": {
                        "Work": function(Timeout=20),
                        "Near": queue(),
                        "FromFar": event_source({"Fn::ImportValue": "jobs"}),
                        "FromNear": event_source({"Fn::GetAtt": ["Near", "Arn"]}),
                    }
                },
            }
        )
    )
    assert resources_of(rewritten, "Data")["Jobs"]["Properties"] == {"VisibilityTimeout": 900}
    assert resources_of(rewritten, "Data")["Idle"]["Properties"] == {}
    assert resources_of(rewritten)["Near"]["Properties"] == {"VisibilityTimeout": 900}
    assert resources_of(rewritten)["Work"]["Properties"]["Timeout"] == 900


def test_behind_a_queue_of_somebody_else_the_timeout_stays(write: Write) -> None:
    sources = {"From": event_source("arn:aws:sqs:us-east-1:123456789012:theirs")}
    stream = {"FunctionName": {"Ref": "Reads"}, "EventSourceArn": {"Ref": "Given"}, "StartingPosition": "LATEST"}
    beside = {"Reads": function(), "Stream": other("Lambda::EventSourceMapping", **stream)}
    template = {"Parameters": {"Given": {"Type": "String"}}}
    rewritten = bridge(write({"Only": {**template, "Resources": {"Work": function(Timeout=20), **sources, **beside}}}))
    assert resources_of(rewritten)["Work"]["Properties"]["Timeout"] == 20
    assert one(rewritten).live
    assert "a queue that is not the app's" in one(rewritten).reason
    assert resources_of(rewritten)["Reads"]["Properties"]["Timeout"] == 900


def test_a_changed_function_gets_a_new_version_and_all_that_names_the_old_one_follows(write: Write) -> None:
    resources = {
        "Work": function(),
        "WorkVersion1": other("Lambda::Version", FunctionName={"Ref": "Work"}),
        "Live": other(
            "Lambda::Alias",
            Name="live",
            FunctionName={"Ref": "Work"},
            FunctionVersion={"Fn::GetAtt": ["WorkVersion1", "Version"]},
        ),
        "After": {
            **other("SNS::Topic", DisplayName={"Fn::Sub": "${WorkVersion1.Version}"}),
            "DependsOn": "WorkVersion1",
        },
    }
    rewritten = bridge(write({"Only": {"Resources": resources}}))
    found = resources_of(rewritten)
    (version,) = [name for name, resource in found.items() if resource["Type"] == "AWS::Lambda::Version"]
    assert version.startswith("WorkVersion1Live")
    assert found["Live"]["Properties"]["FunctionVersion"] == {"Fn::GetAtt": [version, "Version"]}
    assert found["After"]["Properties"]["DisplayName"] == {"Fn::Sub": f"${{{version}.Version}}"}
    assert found["After"]["DependsOn"] == version
    assert dangling(rewritten.assembly) == []


def test_nested_stacks_have_bridges_too(write: Write) -> None:
    inner = {
        "Parameters": {"Jobs": {"Type": "String"}},
        "Resources": {"Work": function(), "From": event_source({"Ref": "Jobs"})},
    }
    url = {"Fn::Join": ["", ["https://s3.amazonaws.com/assets/", "inner.json"]]}
    passed = {"Jobs": {"Fn::GetAtt": ["Jobs", "Arn"]}}
    outer = {"Jobs": queue(), "Inner": other("CloudFormation::Stack", TemplateURL=url, Parameters=passed)}
    files = {"inner": file_asset("inner.template.json", key="inner.json", packaging="file")}
    directory = write({"Only": {"Resources": outer}}, files=files)
    (directory / "inner.template.json").write_text(json.dumps(inner))
    rewritten = bridge(directory)
    assert resources_of(rewritten)["Jobs"]["Properties"] == {"VisibilityTimeout": 900}
    assert one(rewritten).live
    assert one(rewritten).nested == ("Inner",)
    (nested,) = [template for name, template in all_templates(rewritten.assembly) if "nested" in name]
    assert {"Work", "StagedoorBridgeLayer"} <= nested["Resources"].keys()
    assert dangling(rewritten.assembly) == []


def test_where_wrappers_are_unknown_the_bridge_is_the_code(write: Write) -> None:
    work = function(Environment={"Variables": {"A": "1"}})
    rewritten = bridge(write({"Only": {"Resources": {"Work": work}}}), EMULATED)
    found = resources_of(rewritten)["Work"]["Properties"]
    assert found["Runtime"] == "provided.al2023"
    assert found["Handler"] == "index.handler"
    assert found["Code"]["S3Key"] == f"{EMULATED.digest}.zip"
    assert found["Environment"]["Variables"] == {
        "A": "1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "STAGEDOOR_LIVE_SERVER": "https://stages.example.com",
        "STAGEDOOR_LIVE_STAGE": "17",
        "STAGEDOOR_LIVE_TIMEOUT": "3",
    }
    assert "StagedoorBridgeLayer" not in resources_of(rewritten)


def test_to_bridge_again_changes_nothing(write: Write) -> None:
    once = bridge(write({"Only": {"Resources": {"Work": function(), "Jobs": queue()}}}))
    twice = bridge(once.assembly.directory, name="again.out")
    assert resources_of(twice) == resources_of(once)
    assert twice.functions == once.functions


def test_put_in_and_taken_out_only_functions_differ(write: Write) -> None:
    directory = write({"Only": {"Resources": {"Work": function(), "Jobs": queue(), "From": event_source(
        {"Fn::GetAtt": ["Jobs", "Arn"]})}}})  # fmt: skip
    on = resources_of(bridge(directory))
    out = bridge(directory, Bridges(BRIDGES.server, "17", BRIDGES.archive, BRIDGES.wrapper, functions=()), "off.out")
    off = resources_of(out)
    assert off.pop("Work") == function()
    assert on.pop("Work") != function()
    assert off == on
    assert one(out).reason == "It was not asked for."


def test_functions_are_called_by_their_constructs() -> None:
    found = BridgedFunction("Api", "HandlerAB12CD34", "Api/Notes/Handler/Resource")
    assert all(found.is_called([name]) for name in ("Handler*", "Api/Notes/*", "Handler", "HandlerAB12CD34"))
    assert not found.is_called(["Notes", "Data/*"])


def test_a_real_apps_bridged_assembly_is_whole_and_a_linter_finds_no_more_in_it(app: Assembly, tmp_path: Path) -> None:
    own = without(app, "Fixed")
    rewritten = rewrite_assembly(own, identity("pr-1"), TARGET, tmp_path / "pr-1", BRIDGES)
    assert [function.construct_path for function in rewritten.functions if function.live] == ["Api/Handler/Resource"]
    stage = rewritten.assembly
    assert dangling(stage, frozenset({"shared-vpc"})) == []
    assert [stack.id for stack in read_assembly(stage.directory).stacks] == [stack.id for stack in stage.stacks]
    lint = python_with(CFN_LINT).with_name("cfn-lint")
    files = [*templates(own), *templates(stage)]
    command = [str(lint), "--non-zero-exit-code", "none", "--format", "json", "--", *map(str, files)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    rules = Counter((Path(one["Filename"]).is_relative_to(stage.directory), one["Rule"]["Id"]) for one in found)
    assert all(count <= rules[False, rule] for (bridged, rule), count in rules.items() if bridged)
