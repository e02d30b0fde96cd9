"""The roles of a target: who may assume them, what they may do, and that a stage can be deployed through them."""

import json
import re
import tomllib
from pathlib import Path

import boto3
import pytest

from demo.aws.server import LocalAws
from infra.target import GITHUB_ISSUER, NEVER, STACKS, WITHOUT_RESOURCE
from service.targets import Declared
from stagedoor.assembly.boundary import with_boundary
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.target import Target
from tests.infra.conftest import ACCOUNT, EXTERNAL_ID, REGION, WORKER_ROLE
from tests.infra.test_templates import of_type

pytestmark = pytest.mark.xdist_group("infra")  # the templates are synthesised once

TREE = Path(__file__).resolve().parents[2]
ROLES = ("DeployRole", "PublishRole", "LookupRole")


def role_of(template, name):
    (found,) = [each for key, each in of_type(template, "IAM::Role").items() if key.startswith(name)]
    return found


def statements_of(template, name):
    (found,) = [each for key, each in of_type(template, "IAM::Policy").items() if key.startswith(name)]
    return found["PolicyDocument"]["Statement"]


@pytest.fixture(scope="module")
def target(templates):
    return templates["target"]["Target"]


def test_only_the_service_with_the_external_id_may_assume_the_roles(target):
    for name in ROLES:
        (trusted,) = role_of(target, name)["AssumeRolePolicyDocument"]["Statement"]
        assert trusted["Principal"] == {"AWS": WORKER_ROLE}
        assert trusted["Condition"] == {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}}
    (trusted,) = role_of(target, "ExecutionRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"Service": "cloudformation.amazonaws.com"}


def test_without_a_service_only_workflows_of_the_named_repositories_may(templates):
    (trusted,) = role_of(templates["workflows"]["Target"], "WorkflowRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert trusted["Condition"] == {
        "StringEquals": {f"{GITHUB_ISSUER}:aud": "sts.amazonaws.com"},
        "StringLike": {f"{GITHUB_ISSUER}:sub": ["repo:acme/notes:environment:production"]},
    }


def test_no_role_has_an_action_with_a_wildcard(target):
    for name in (*ROLES, "ExecutionRole"):
        for statement in statements_of(target, name):
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert statement["Effect"] == "Deny" or not any("*" in action for action in actions)


def test_the_deploy_role_may_do_what_the_engine_asks_of_cloudformation(target):
    """Each operation that is called by its name in the source, page by page or not."""
    called = set()
    for file in (TREE / "stagedoor/deploy").rglob("*.py"):
        called |= set(re.findall(r'cloudformation\.(?:get_paginator\("(\w+)"|(\w+)\()', file.read_text()))
    wanted = {"".join(word.capitalize() for word in (page or call).split("_")) for page, call in called}
    assert len(wanted) > 15
    assert {f"cloudformation:{each}" for each in wanted} <= {*STACKS, *WITHOUT_RESOURCE}


def test_the_publish_role_may_push_images(target):
    """What AWS lists for it (https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html)."""
    pushing = {
        *("ecr:CompleteLayerUpload", "ecr:UploadLayerPart", "ecr:InitiateLayerUpload"),
        *("ecr:BatchCheckLayerAvailability", "ecr:PutImage", "ecr:BatchGetImage"),
    }
    assert any(pushing <= set(each["Action"]) for each in statements_of(target, "PublishRole"))


def test_the_deploy_role_hands_cloudformation_that_one_role(target):
    (passing,) = [each for each in statements_of(target, "DeployRole") if each["Action"] == "iam:PassRole"]
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}}
    assert passing["Resource"]["Fn::GetAtt"][0].startswith("ExecutionRole")


def test_templates_make_bounded_roles_alone(target):
    (boundary,) = of_type(target, "IAM::ManagedPolicy").values()
    allowed, denied = boundary["PolicyDocument"]["Statement"]
    assert allowed["Effect"] == "Allow"
    assert set(denied["Action"]) == set(NEVER)
    making = [each for each in statements_of(target, "ExecutionRole") if "iam:CreateRole" in each["Action"]]
    assert all("iam:PermissionsBoundary" in each["Condition"]["StringEquals"] for each in making)


def test_in_production_nothing_is_emptied(templates, target):
    def deletes(template):
        return [each for each in statements_of(template, "DeployRole") if "s3:DeleteBucket" in each["Action"]]

    assert {each["Effect"] for each in deletes(target)} == {"Allow", "Deny"}
    assert deletes(templates["production"]["Target"]) == []


def test_a_stage_gets_the_boundary_on_each_of_its_roles():
    app = {
        "Resources": {
            "Ours": {"Type": "AWS::IAM::Role", "Properties": {"Path": "/"}},
            "Theirs": {
                "Type": "AWS::IAM::Role",
                "Properties": {"PermissionsBoundary": "arn:aws:iam::aws:policy/Admin"},
            },
            "Bare": {"Type": "AWS::IAM::User"},
            "Queue": {"Type": "AWS::SQS::Queue"},
        }
    }
    bounded = with_boundary(app, "arn:b")["Resources"]
    assert [bounded[name]["Properties"]["PermissionsBoundary"] for name in ("Ours", "Theirs", "Bare")] == ["arn:b"] * 3
    assert bounded["Queue"] == {"Type": "AWS::SQS::Queue"}
    assert with_boundary(app, None) == app
    for strange in ({}, {"Resources": None}, {"Resources": {"A": 1, "B": {"Type": ["AWS::IAM::Role"]}}}):
        assert with_boundary(strange, "arn:b") == strange


def test_it_is_deployed_and_its_outputs_are_a_target(target, tmp_path, monkeypatch):
    with LocalAws(tmp_path) as aws:
        for name, value in aws.environment(ACCOUNT, REGION).items():
            monkeypatch.setenv(name, value)
        session = boto3.Session()  # the default one keeps the account of an earlier test
        session.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Value="21", Type="String")
        cloudformation = session.client("cloudformation")
        body = json.dumps(target, separators=(",", ":"))
        cloudformation.create_stack(StackName="stages", TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
        cloudformation.get_waiter("stack_create_complete").wait(StackName="stages", WaiterConfig={"Delay": 1})
        (stack,) = cloudformation.describe_stacks(StackName="stages")["Stacks"]
        said = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        declared = Declared.model_validate(tomllib.loads(targets_file(said))).targets["previews"]
        made = Target("previews", ACCOUNT, REGION, deploy_role=declared.deploy_role, external_id=declared.external_id)
        caller = Clients(made).client("sts", Phase.DEPLOY).get_caller_identity()["Arn"]
        assert caller.split("/")[1] == said["DeployRoleArn"].rpartition("/")[2]


def targets_file(outputs):
    """Return the file as docs/install.md has it."""
    names = {
        "deploy_role": "DeployRoleArn",
        "publish_role": "PublishRoleArn",
        "lookup_role": "LookupRoleArn",
        "execution_role": "ExecutionRoleArn",
        "permissions_boundary": "PermissionsBoundary",
    }
    lines = [f'{key} = "{outputs[output]}"' for key, output in names.items()]
    place = f'account = "{ACCOUNT}"\nregion = "{REGION}"\nexternal_id = "{EXTERNAL_ID}"\n'
    return "[targets.previews]\n" + place + "\n".join(lines)
