"""Each row of the table of fixed names in docs/assembly.md, and the leftovers that are only reported."""

from pathlib import Path
from typing import Any

import pytest

from stagedoor.assembly.expressions import Unresolved, scope_of
from stagedoor.assembly.named_types import NAMED
from stagedoor.assembly.physical_names import fixed_names
from stagedoor.assembly.reader import read_assembly
from stagedoor.assembly.rewrite import rewrite_assembly
from tests.stagedoor.assembly.conftest import TARGET, Write, file_asset, identity

PR_1 = identity("pr-1")
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
    "a loop or a transform": {"Resources": {"Fn::ForEach::Topics": ["T", ["a"], {}]}},
    "export cannot be told": {
        "Parameters": PARAMETERS,
        "Outputs": {"O": {"Value": "v", "Export": {"Name": {"Ref": "Looked"}}}},
    },
}


@pytest.mark.parametrize("words", REPORTED)
def test_what_is_only_reported(write: Write, tmp_path: Path, words: str) -> None:
    assembly = read_assembly(write({"Only": REPORTED[words]}))
    (finding,) = rewrite_assembly(assembly, PR_1, TARGET, tmp_path / "out").findings
    assert finding.stack == "Only"
    assert finding.remedy
    assert set(words.split()) <= set(finding.what.replace(",", "").replace(":", "").split()), finding.what
