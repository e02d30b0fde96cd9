"""Assemblies made by hand, as rewriting leaves them."""

import hashlib
import json
from pathlib import Path
from typing import Any

from stagedoor.assembly.model import Assembly, FileAsset, Packaging, Stack
from stagedoor.naming import StageIdentity
from stagedoor.target import Target

IDENTITY = StageIdentity(app="shop", stage="pr-1", prefix="shop-pr-1-abc123", repository="42", service="here")

HANDLER = """
import os, boto3
def handler(event, context):
    boto3.client("s3").put_object(Bucket=os.environ["BUCKET"], Key="note", Body=b"written by the function")
    return {"statusCode": 200, "body": "WORD"}
"""


def stack(
    directory: Path,
    own_name: str,
    template: dict[str, Any],
    *,
    needs: tuple[str, ...] = (),
    identity: StageIdentity = IDENTITY,
    **more: Any,
) -> Stack:
    path = directory / f"{own_name}.template.json"
    path.write_text(json.dumps(template))
    return Stack(
        id=own_name,
        own_name=own_name,
        name=identity.stack_name(own_name),
        template_path=path,
        account="000000000001",
        region="us-east-1",
        dependencies=needs,
        **more,
    )


def parameter(value: str, **more: Any) -> dict[str, Any]:
    return {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": value}, **more}


def template(outputs: dict[str, Any] | None = None, **resources: Any) -> dict[str, Any]:
    return {"Resources": resources, "Outputs": {key: {"Value": value} for key, value in (outputs or {}).items()}}


def code_asset(directory: Path, target: Target, files: dict[str, str], claimed: str = "") -> FileAsset:
    claimed = claimed or hashlib.sha256(json.dumps(files).encode()).hexdigest()
    source = directory / f"asset.{claimed[:16]}"
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    bucket = f"cdk-{target.qualifier}-assets-{target.account}-{target.region}"
    return FileAsset(claimed, source, Packaging.ZIP, bucket, f"{claimed}.zip", "code")


def shop(directory: Path, target: Target, word: str = "hello") -> Assembly:
    """Two stacks: data with a bucket that is retained by its author and deleted with a preview; a function using it."""
    name = f"{IDENTITY.prefix}-bucket"
    data = template({"Bucket": {"Ref": "Bucket"}}, Bucket={"Type": "AWS::S3::Bucket", "DeletionPolicy": "Delete"})
    data["Outputs"]["Bucket"]["Export"] = {"Name": name}
    asset = code_asset(directory, target, {"index.py": HANDLER.replace("WORD", word)})
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ],
            }
        },
    }
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"S3Bucket": asset.bucket, "S3Key": asset.key},
            "Handler": "index.handler",
            "Runtime": "python3.12",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Environment": {"Variables": {"BUCKET": {"Fn::ImportValue": name}}},
        },
    }
    api = template({"Function": {"Ref": "Function"}}, Role=role, Function=function)
    return Assembly(
        directory,
        (stack(directory, "Data", data), stack(directory, "Api", api, needs=("Data",), assets=(asset,))),
    )


def pair(directory: Path, value: str) -> Assembly:
    """Two stacks without assets, `Web` after `Base`, whose parameters hold a value."""
    base = stack(directory, "Base", template(Value=parameter(value)))
    web = stack(
        directory,
        "Web",
        template(Value=parameter(value), Other=parameter("same")),
        needs=("Base",),
        construct_paths={"Value": "Web/Settings/Value"},
    )
    return Assembly(directory, (base, web))
