"""What an account needs before a first deploy: a bucket for assets, a repository for images, a parameter that says so.

An environment that `cdk bootstrap` prepared is used as it is. The names are CDK's own, so that templates find what they
look for (https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html).
"""

import json
import secrets
from contextlib import suppress
from dataclasses import dataclass

from botocore.exceptions import ClientError

from stagedoor.assembly.model import Template
from stagedoor.assembly.target_names import assets_bucket, image_repository
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.deploy.stacks import GOOD, error_code, read_stack
from stagedoor.deploy.together import run_alone
from stagedoor.deploy.watch import Watch
from stagedoor.errors import TargetUnusable, UserError
from stagedoor.events import Emit
from stagedoor.target import Target

VERSION = 6
"""The version of CDK's bootstrap that our own stands for: the least that CDK's default synthesizer asks for."""

_PRIVATE_BUCKET = {
    "VersioningConfiguration": {"Status": "Enabled"},
    "BucketEncryption": {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    },
    "PublicAccessBlockConfiguration": {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    },
    "LifecycleConfiguration": {
        "Rules": [
            {"Id": "incomplete", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
        ]
    },
}
_OWN_ARN = {"Fn::GetAtt": ["Assets", "Arn"]}
_ONLY_BY_TLS = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": [_OWN_ARN, {"Fn::Join": ["/", [_OWN_ARN, "*"]]}],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}
_LAMBDA_MAY_PULL = {
    "Effect": "Allow",
    "Principal": {"Service": "lambda.amazonaws.com"},
    "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
    "Condition": {
        "StringLike": {
            "aws:sourceArn": {"Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*"}
        }
    },
}
"""Source: https://docs.aws.amazon.com/lambda/latest/dg/images-create.html."""


class NotBootstrapped(TargetUnusable):
    """The target's account and region have no bucket for assets, or one that is too old for the app."""

    id = "not-bootstrapped"


class BootstrapFailed(UserError):
    """CloudFormation could not make what a bootstrap consists of."""

    id = "bootstrap-failed"


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Where a target's assets go, the version of the bootstrap that made it, and when that was (empty: not known)."""

    bucket: str
    version: int
    made: str = ""


def version_parameter(target: Target) -> str:
    """Return the name of the parameter that holds the bootstrap's version."""
    return f"/cdk-bootstrap/{target.qualifier}/version"


def stack_name(target: Target) -> str:
    """Return the name of the stack that `bootstrap` makes."""
    return f"stagedoor-bootstrap-{target.qualifier}"


def find_bootstrap(clients: Clients, target: Target) -> Bootstrap:
    """Return the target's bootstrap, whoever made it. Raises `NotBootstrapped`."""
    try:
        answer = clients.client("ssm", Phase.DEPLOY).get_parameter(Name=version_parameter(target))
    except ClientError as error:
        if error_code(error) != "ParameterNotFound":
            raise
        raise NotBootstrapped(
            f"Account {target.account} has nothing prepared for assets in {target.region} "
            f"(qualifier {target.qualifier!r}).",
            "Run `stagedoor bootstrap` once with an operator's credentials, or `cdk bootstrap`.",
        ) from error
    parameter = answer["Parameter"]
    made = parameter["LastModifiedDate"].isoformat() if "LastModifiedDate" in parameter else ""
    return Bootstrap(assets_bucket(target), int(parameter.get("Value", "0")), made)


def bootstrap(clients: Clients, target: Target, emit: Emit) -> Bootstrap:
    """Prepare the target for deploys, and return what is there. Where something is prepared already, change nothing."""
    try:
        return find_bootstrap(clients, target)
    except NotBootstrapped:
        pass
    name = stack_name(target)
    # Of its own for each attempt: under the token of one whose stack was deleted, CloudFormation would make none.
    step = MemoryLedger(f"bootstrap-{secrets.token_hex(4)}").begin("create-stack", name, {})
    with suppress(clients.cloudformation.exceptions.AlreadyExistsException):
        clients.cloudformation.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template(target), indent=1),
            ClientRequestToken=step.token,
            EnableTerminationProtection=True,
            Tags=[{"Key": "stagedoor:bootstrap", "Value": target.qualifier}],
        )
    started = read_stack(clients, name)
    arn = started.arn if started else name
    watch = Watch(clients, arn, emit)
    after = run_alone(watch.until_finished())
    if after.status not in GOOD:
        reasons = [failure.get("ResourceStatusReason", "") for failure in watch.failures] or [after.reason]
        raise BootstrapFailed(
            f"The stack {name} ended as {after.status}: {reasons[0]}",
            "Correct what the reason says, turn the stack's termination protection off, delete it, and run "
            "`stagedoor bootstrap` again.",
        )
    return find_bootstrap(clients, target)


def template(target: Target) -> Template:
    """Return our own template: a private, versioned, encrypted bucket and a repository, which outlive their stack, and
    the parameter. Images keep their tags: a tag is the hash of what it stands for.
    """
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Where Stagedoor and CDK put the assets of this account and region.",
        "Resources": {
            "Assets": {
                "Type": "AWS::S3::Bucket",
                "Properties": {"BucketName": assets_bucket(target), **_PRIVATE_BUCKET},
                # A bucket that stayed when its creation failed would stand in the way of the next attempt.
                "DeletionPolicy": "RetainExceptOnCreate",
                "UpdateReplacePolicy": "Retain",
            },
            "AssetsOnlyByTls": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {
                    "Bucket": {"Ref": "Assets"},
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": [_ONLY_BY_TLS]},
                },
            },
            "Images": {
                "Type": "AWS::ECR::Repository",
                "Properties": {
                    "RepositoryName": image_repository(target),
                    "ImageTagMutability": "IMMUTABLE",
                    "RepositoryPolicyText": {"Version": "2012-10-17", "Statement": [_LAMBDA_MAY_PULL]},
                },
                "DeletionPolicy": "RetainExceptOnCreate",
                "UpdateReplacePolicy": "Retain",
            },
            "Version": {
                "Type": "AWS::SSM::Parameter",
                "DependsOn": "AssetsOnlyByTls",
                "Properties": {"Type": "String", "Name": version_parameter(target), "Value": str(VERSION)},
            },
        },
        "Outputs": {"BucketName": {"Value": {"Ref": "Assets"}}, "BootstrapVersion": {"Value": str(VERSION)}},
    }
