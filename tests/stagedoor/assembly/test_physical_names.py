"""Each row of the table of fixed names in docs/assembly.md, and the leftovers that are only reported."""

import json
from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.conditions import with_conditions
from stagedoor.assembly.expressions import Unresolved, scope_of
from stagedoor.assembly.loops import unrolled
from stagedoor.assembly.named_types import NAMED
from stagedoor.assembly.physical_names import fixed_names
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from tests.stagedoor.assembly.conftest import TARGET, Write, file_asset, identity, template_of

PR_1 = identity("pr-1")
TABLE = {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
PARAMETERS = {
    "Given": {"Type": "String", "Default": "notes"},
    "Staged": {"Type": "String", "Default": "notes-pr-1"},
    "Looked": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/team/name"},
}


def is_fixed(type_name: str, properties: dict[str, Any]) -> bool:
    template = {
        "Parameters": PARAMETERS,
        "Resources": {"It": {"Type": type_name, "Properties": properties}, "Other": {"Type": "AWS::EC2::VPC"}},
    }
    scope = scope_of(template, TARGET, Unresolved.OWN, {}, frozenset({"own-export"}))
    return bool(list(fixed_names(template, scope, PR_1)))


FREE = [
    None,
    {"Ref": "AWS::NoValue"},
    {"Ref": "AWS::StackName"},
    {"Ref": "Other"},
    {"Ref": "Staged"},
    {"Fn::GetAtt": ["Other", "VpcId"]},
    {"Fn::Join": ["-", ["jobs", {"Ref": "AWS::StackName"}]]},
    {"Fn::Sub": "/aws/lambda/${Other}"},
    {"Fn::Sub": ["${x}-jobs", {"x": {"Fn::GetAtt": "Other.VpcId"}}]},
    {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]},
    {"Fn::If": ["C", {"Ref": "AWS::StackName"}, {"Ref": "AWS::NoValue"}]},
    {"Fn::If": ["C", {"Ref": "AWS::StackName"}, "notes-pr-1"]},
    {"Fn::ImportValue": "own-export"},
    "notes-pr-1",
    "Notes_PR_1_jobs",
    f"{PR_1.prefix}-jobs",
]
FIXED = [
    "jobs",
    "notes-pr-11",
    "notespr-1",
    {"Ref": "Given"},
    {"Ref": "Looked"},
    {"Ref": "Nobody"},
    {"Fn::Sub": "jobs-${AWS::AccountId}-${AWS::Region}"},
    {"Fn::Join": ["-", ["jobs", {"Ref": "AWS::Region"}]]},
    {"Fn::FindInMap": ["Names", "a", "b"]},
    {"Fn::If": ["C", {"Ref": "AWS::StackName"}, "jobs"]},
    {"Fn::ImportValue": "shared"},
    {"Fn::Sub": "${!AWS::StackName}"},
]


@pytest.mark.parametrize("name", FREE, ids=str)
def test_names_of_the_stages_own(name: Any) -> None:
    assert not is_fixed("AWS::SQS::Queue", {} if name is None else {"QueueName": name})


@pytest.mark.parametrize("name", FIXED, ids=str)
def test_names_that_each_stage_would_claim(name: Any) -> None:
    assert is_fixed("AWS::SQS::Queue", {"QueueName": name})


def test_a_name_within_a_resource_of_the_stage() -> None:
    assert is_fixed("AWS::EC2::SecurityGroup", {"GroupName": "web", "VpcId": "vpc-1"})
    assert not is_fixed("AWS::EC2::SecurityGroup", {"GroupName": "web", "VpcId": {"Ref": "Other"}})
    assert is_fixed("AWS::Events::Rule", {"Name": "nightly"})
    assert not is_fixed("AWS::Events::Rule", {"Name": "nightly", "EventBusName": {"Ref": "Other"}})


UNIQUE: dict[str, dict[str, Any]] = {
    "AWS::Events::Archive": {"ArchiveName": "a"},
    "AWS::SSM::Parameter": {"Name": "/app/key"},
    "AWS::Logs::MetricFilter": {"LogGroupName": "/shared", "FilterName": "errors"},
    "AWS::ApiGateway::BasePathMapping": {"DomainName": "api.example.com", "BasePath": "v1"},
    "AWS::AppRunner::Service": {"ServiceName": "web"},
    "AWS::CodeBuild::ReportGroup": {"Name": "tests"},
    "AWS::Budgets::Budget": {"Budget": {"BudgetName": "monthly"}},
    "AWS::ElasticLoadBalancing::LoadBalancer": {"LoadBalancerName": "web"},
    "AWS::Serverless::StateMachine": {"Name": "flow"},
    "AWS::RDS::OptionGroup": {"OptionGroupName": "options"},
    "AWS::CloudTrail::Trail": {"TrailName": "audit"},
}


@pytest.mark.parametrize("type_name", UNIQUE)
def test_types_whose_names_must_be_unique(type_name: str) -> None:
    properties = UNIQUE[type_name]
    assert is_fixed(type_name, properties)
    (around, *_) = NAMED[type_name][0].within or (NAMED[type_name][0].property,)
    assert not is_fixed(type_name, {**properties, around: {"Ref": "Other"}} if "Budget" not in properties else {})


def test_what_another_resource_has_only_one_of() -> None:
    assert is_fixed("AWS::S3::BucketPolicy", {"Bucket": "shared"})
    assert not is_fixed("AWS::S3::BucketPolicy", {"Bucket": {"Ref": "Other"}})
    assert is_fixed("AWS::SQS::QueuePolicy", {"Queues": [{"Ref": "Other"}, {"Fn::ImportValue": "shared"}]})
    deployment = {"DestinationBucketName": "shared", "DestinationBucketKeyPrefix": "site"}
    assert is_fixed("Custom::CDKBucketDeployment", deployment)
    assert not is_fixed("Custom::CDKBucketDeployment", {**deployment, "DestinationBucketKeyPrefix": "pr-1"})


def test_types_whose_names_need_not_be() -> None:
    for type_name in (
        "AWS::ApiGateway::RestApi",
        "AWS::Cognito::UserPool",
        "AWS::EC2::VPC",
        "AWS::Route53::HostedZone",
    ):
        assert not is_fixed(type_name, {"Name": "x", "UserPoolName": "x"})
    assert not is_fixed("AWS::ApiGateway::Stage", {"RestApiId": {"Ref": "Other"}, "StageName": "prod"})
    assert not is_fixed("AWS::Cognito::UserPoolGroup", {"UserPoolId": {"Ref": "Other"}, "GroupName": "admins"})


def test_names_in_objects_and_lists() -> None:
    assert is_fixed("AWS::Glue::Database", {"DatabaseInput": {"Name": "lake"}})
    assert is_fixed("AWS::CloudFront::Distribution", {"DistributionConfig": {"Aliases": ["pr-1.a.com", "www.a.com"]}})
    assert not is_fixed("AWS::CloudFront::Distribution", {"DistributionConfig": {"Aliases": ["pr-1.a.com"]}})


def test_a_name_that_a_parent_passes_on(write: Write, tmp_path: Path) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "Name"}}}
    nested = {"Parameters": {"Name": {"Type": "String"}}, "Resources": {"Q": queue}}
    properties = {"TemplateURL": "https://s3/assets/n.json", "Parameters": {"Name": {"Ref": "AWS::StackName"}}}
    parent = {"Resources": {"N": {"Type": "AWS::CloudFormation::Stack", "Properties": properties}}}
    files = {"n": file_asset("Nested.template.json", key="n.json", packaging="file")}
    assembly = read_assembly(write({"Parent": parent, "Nested": nested}, files=files))
    only_parent = type(assembly)(assembly.directory, (assembly.stack("Parent"),))
    assert rewrite_assembly(only_parent, PR_1, TARGET, tmp_path / "out").findings == ()


REPORTED = {
    "retained": {"Resources": {"C": {"Type": "AWS::ACMPCA::CertificateAuthority", "DeletionPolicy": "Retain"}}},
    "not in the assembly": {
        "Resources": {"N": {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": "https://x/y.json"}}}
    },
    "this loop makes": {"Resources": {"Fn::ForEach::Topics": ["T", {"Ref": "Names"}, {}]}},
    "this transform makes": {"Resources": {"Fn::Transform": {"Name": "AWS::Include"}}},
    "this macro makes": {"Transform": ["AWS::LanguageExtensions", "Ours"], "Resources": {}},
    "this module makes": {"Resources": {"M": {"Type": "My::S3::Bucket::MODULE"}}},
}


@pytest.mark.parametrize("words", REPORTED)
def test_what_is_only_reported(write: Write, tmp_path: Path, words: str) -> None:
    assembly = read_assembly(write({"Only": REPORTED[words]}))
    (finding,) = rewrite_assembly(assembly, PR_1, TARGET, tmp_path / "out").findings
    assert finding.stack == "Only"
    assert finding.remedy
    assert set(words.split()) <= set(finding.what.replace(",", "").replace(":", "").split()), finding.what


def fixed_in(template: dict[str, Any]) -> list[tuple[str, str | None]]:
    scope = with_conditions(scope_of(template, TARGET, Unresolved.OWN, {}, frozenset()), template)
    return [(fixed.logical_id, fixed.name) for fixed in fixed_names(template, scope, PR_1)]


def queue(name: Any, **more: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}, **more}


CONDITIONS = {
    "Prod": {"Fn::Equals": [{"Ref": "Env"}, "prod"]},
    "NotProd": {"Fn::Not": [{"Condition": "Prod"}]},
    "Never": {"Fn::And": [{"Condition": "NotProd"}, {"Condition": "Prod"}]},
    "Either": {"Fn::Or": [{"Condition": "Unknown"}, {"Condition": "NotProd"}]},
    "Unknown": {"Fn::Equals": [{"Ref": "Looked"}, "x"]},
    "Round": {"Fn::Not": [{"Condition": "Round"}]},
}


@pytest.mark.parametrize(
    ("condition", "made"),
    {"Prod": False, "NotProd": True, "Never": False, "Either": True, "Unknown": True, "Round": True}.items(),
)
def test_a_resource_whose_condition_does_not_hold_claims_no_name(condition: str, made: bool) -> None:
    parameters = {**PARAMETERS, "Env": {"Type": "String", "Default": "dev"}}
    jobs = queue("jobs", Condition=condition)
    template = {"Parameters": parameters, "Conditions": CONDITIONS, "Resources": {"Jobs": jobs}}
    assert bool(fixed_in(template)) == made


def test_a_name_that_a_known_condition_chooses() -> None:
    parameters = {"Env": {"Type": "String", "Default": "dev"}}
    name = {"Fn::If": ["Prod", "jobs", {"Ref": "AWS::NoValue"}]}
    template = {"Parameters": parameters, "Conditions": CONDITIONS, "Resources": {"Jobs": queue(name)}}
    assert fixed_in(template) == []


def test_a_name_that_is_looked_up_in_the_template() -> None:
    in_map = {"Fn::FindInMap": ["Names", {"Ref": "AWS::Region"}, "jobs"]}
    first = {"Fn::Select": ["0", {"Fn::Split": [",", "one,two"]}]}
    second = {"Fn::Select": [1, ["x", {"Ref": "AWS::Region"}]]}
    template = {
        "Mappings": {"Names": {"us-east-1": {"jobs": "jobs-of-east"}}},
        "Resources": {"A": queue(in_map), "B": queue(first), "C": queue(second)},
    }
    assert fixed_in(template) == [("A", "jobs-of-east"), ("B", "one"), ("C", "us-east-1")]


def test_a_loop_over_known_names_is_unrolled(write: Write, tmp_path: Path) -> None:
    body = {"Queue${T}": queue({"Fn::Sub": "${AWS::StackName}-${T}"}), "Table&{T}": {**TABLE}}
    inner = ["U", ["x", "y"], {"Topic${T}${U}": {"Type": "AWS::SNS::Topic"}}]
    outputs = ["T", ["a-1", "b"], {"Out&{T}": {"Value": {"Ref": "T"}, "Export": {"Name": {"Fn::Sub": "all-${T}"}}}}]
    looped = {
        "Transform": "AWS::LanguageExtensions",
        "Resources": {"Fn::ForEach::Qs": ["T", ["a-1", "b"], {**body, "Fn::ForEach::In": inner}]},
        "Outputs": {"Fn::ForEach::Os": outputs},
    }
    rewritten = rewrite_assembly(read_assembly(write({"Loop": looped})), PR_1, TARGET, tmp_path / "out")
    template = template_of(rewritten.assembly, "Loop")
    tables, topics = {"Tablea1", "Tableb"}, {"Topica-1x", "Topica-1y", "Topicbx", "Topicby"}
    assert template["Resources"].keys() == {"Queuea-1", "Queueb", *tables, *topics}
    assert template["Resources"]["Tableb"]["DeletionPolicy"] == "Delete"
    assert template["Resources"]["Queueb"] == queue({"Fn::Sub": "${AWS::StackName}-b"})
    assert template["Outputs"]["Outb"] == {"Value": "b", "Export": {"Name": f"{PR_1.prefix}-all-b"}}
    assert rewritten.findings == ()


def test_loops_without_end_stay_as_they_are() -> None:
    loop: dict[str, Any] = {}
    for depth in range(9):
        loop = {f"Fn::ForEach::L{depth}": [f"T{depth}", [str(turn) for turn in range(10)], loop]}
    assert unrolled({"Resources": loop}) == {"Resources": loop}


def test_a_fixed_name_in_a_loop_is_found() -> None:
    loop = {"Fn::ForEach::Qs": ["T", ["a", "b"], {"Q${T}": queue("jobs-${T}")}]}
    assert fixed_in(unrolled({"Resources": loop})) == [("Qa", "jobs-a"), ("Qb", "jobs-b")]


def test_an_application_of_sam_is_followed_as_a_nested_stack(write: Write, tmp_path: Path) -> None:
    nested = {"Resources": {"T": {**TABLE}}}
    url = {"Fn::Sub": "https://s3.${AWS::URLSuffix}/assets/n.json"}
    parent = {"Resources": {"N": {"Type": "AWS::Serverless::Application", "Properties": {"Location": url}}}}
    files = {"n": file_asset("Nested.template.json", key="n.json", packaging="file")}
    assembly = read_assembly(write({"Parent": parent, "Nested": nested}, files=files))
    only_parent = type(assembly)(assembly.directory, (assembly.stack("Parent"),))
    out = rewrite_assembly(only_parent, PR_1, TARGET, tmp_path / "out")
    assert out.findings == ()
    (asset,) = out.assembly.stacks[0].assets
    location = template_of(out.assembly, "Parent")["Resources"]["N"]["Properties"]["Location"]
    assert asset.claimed_hash in json.dumps(location)
    assert json.loads(asset.source.read_text())["Resources"]["T"]["DeletionPolicy"] == "Delete"


def test_edge_functions_are_found_by_the_stages_own_parameter(write: Write, tmp_path: Path) -> None:
    name = "/cdk/EdgeFunctionArn/us-east-1/Web/Fn"
    parameter = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Name": name, "Value": "x"}}
    reader = {
        "Type": "Custom::CrossRegionStringParameterReader",
        "Properties": {"ParameterName": name, "Region": "us-east-1"},
    }
    policy = "arn:aws:ssm:us-east-1:1:parameter/cdk/EdgeFunctionArn/*"
    web = {"Resources": {"R": reader, "P": {"Type": "AWS::IAM::Policy", "Properties": {"Resource": policy}}}}
    assembly = read_assembly(write({"Edge": {"Resources": {"P": parameter}}, "Web": web}))
    out = rewrite_assembly(assembly, PR_1, TARGET, tmp_path / "out").assembly
    own = f"/cdk/EdgeFunctionArn/us-east-1/{PR_1.prefix}/Web/Fn"
    assert template_of(out, "Edge")["Resources"]["P"]["Properties"]["Name"] == own
    assert template_of(out, "Web")["Resources"]["R"]["Properties"]["ParameterName"] == own
    assert policy in json.dumps(template_of(out, "Web"))
