"""The local AWS as the demo uses it."""

import os
import urllib.request
from pathlib import Path

import boto3
import pytest

from demo.aws.server import DEFAULT_ACCOUNT, LocalAws
from stagedoor.assembly.model import Assembly
from stagedoor.deploy.apply import deploy
from stagedoor.deploy.bootstrap import bootstrap
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.ledger import MemoryLedger
from stagedoor.events import silent
from stagedoor.target import Target
from tests.stagedoor.deploy.assemblies import IDENTITY, code_asset, stack

HELLO = "def handler(event, context): return {'statusCode': 200, 'body': 'hello ' + event['rawPath']}"


def http_api(directory: Path, target: Target) -> Assembly:
    asset = code_asset(directory, target, {"index.py": HELLO})
    function = {"Fn::GetAtt": ["Function", "Arn"]}
    trusted = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    body = {
        "Resources": {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trusted]}},
            },
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Bucket": asset.bucket, "S3Key": asset.key},
                    "Handler": "index.handler",
                    "Runtime": "python3.12",
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                },
            },
            "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": "hello", "ProtocolType": "HTTP"}},
            "Integration": {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {
                    "ApiId": {"Ref": "Api"},
                    "IntegrationType": "AWS_PROXY",
                    "IntegrationUri": function,
                    "PayloadFormatVersion": "2.0",
                },
            },
            "Route": {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": {"Ref": "Api"},
                    "RouteKey": "$default",
                    "Target": {"Fn::Sub": "integrations/${Integration}"},
                },
            },
            "Stage": {
                "Type": "AWS::ApiGatewayV2::Stage",
                "Properties": {"ApiId": {"Ref": "Api"}, "StageName": "$default", "AutoDeploy": True},
            },
        },
        "Outputs": {"Url": {"Value": {"Fn::Sub": "https://${Api}.execute-api.${AWS::Region}.amazonaws.com/"}}},
    }
    return Assembly(directory, (stack(directory, "Api", body, assets=(asset,)),))


def test_a_stages_url_answers_and_nothing_outlives_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    app = tmp_path / "cdk.out"
    app.mkdir()
    with LocalAws(tmp_path / "aws") as aws:
        for name, value in aws.environment(DEFAULT_ACCOUNT).items():
            monkeypatch.setenv(name, value)
        target = Target(name="local", account=DEFAULT_ACCOUNT, region="us-east-1")
        clients = Clients(target)
        bootstrap(clients, target, silent)
        outputs = deploy(http_api(app, target), IDENTITY, clients, MemoryLedger("1"), silent).outputs
        url, host = aws.url_for(outputs["Api"]["Url"] + "world")
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host})) as answer:
            assert answer.read() == b"hello /world"
        group = aws.pid
        assert group is not None
    with pytest.raises(ProcessLookupError):  # neither the server nor the function's worker
        os.killpg(group, 0)


def test_what_it_holds_is_there_again_when_it_persists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for attempt in range(2):
        with LocalAws(tmp_path, persist=True) as aws:
            for name, value in aws.environment(DEFAULT_ACCOUNT).items():
                monkeypatch.setenv(name, value)
            s3 = boto3.Session().client("s3")
            if attempt == 0:
                s3.create_bucket(Bucket="kept")
                s3.put_object(Bucket="kept", Key="note", Body=b"still here")
            else:
                assert s3.get_object(Bucket="kept", Key="note")["Body"].read() == b"still here"
