"""What a stack's removal has to empty, and what it finds to remove: on the local AWS."""

import json
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from stagedoor.deploy import contents
from stagedoor.deploy.clients import Clients, Phase
from stagedoor.deploy.contents import Contents, Resource, empty_contents, remove_log_groups


def test_an_image_repository_is_emptied(clients: Clients):
    ecr = boto3.Session().client("ecr")
    ecr.create_repository(repositoryName="images")
    for number in range(3):
        manifest = json.dumps({"schemaVersion": 2, "config": {"digest": f"sha256:{number:064}"}, "layers": []})
        ecr.put_image(repositoryName="images", imageManifest=manifest, imageTag=str(number))
    assert len(ecr.list_images(repositoryName="images")["imageIds"]) == 3
    held = Contents(repositories=(Resource("Images", "AWS::ECR::Repository", "images"),))
    assert empty_contents(clients, held) == []
    assert ecr.list_images(repositoryName="images")["imageIds"] == []


def test_more_objects_than_one_call_deletes(clients: Clients, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(contents, "_OBJECTS", 2)
    s3 = boto3.Session().client("s3")
    bucket = f"many-{clients.target.account}"
    s3.create_bucket(Bucket=bucket)
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=str(number))
    held = Contents(buckets=(Resource("Many", "AWS::S3::Bucket", bucket),))
    assert empty_contents(clients, held) == []
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_what_is_not_there_any_more_is_no_trouble(clients: Clients):
    gone = Contents(
        buckets=(Resource("B", "AWS::S3::Bucket", f"gone-{clients.target.account}"),),
        repositories=(Resource("R", "AWS::ECR::Repository", "gone"),),
    )
    assert empty_contents(clients, gone) == []
    assert remove_log_groups(clients, ["/aws/lambda/gone"]) == []


def test_a_log_group_that_may_not_be_deleted_or_cannot_be_one_keeps_no_other(clients: Clients):
    logs = clients.client("logs", Phase.DEPLOY)
    answers = {"another's": "AccessDeniedException", "no name": "InvalidParameterException"}

    def answer(params: Any, **_: Any) -> Any:
        code = answers.get(json.loads(params["body"])["logGroupName"])
        said = {"Error": {"Code": code, "Message": "not authorized to perform: logs:DeleteLogGroup"}}
        return (AWSResponse("", 400, HTTPHeaders(), HTTPResponse()), said) if code else None

    logs.meta.events.register("before-call.cloudwatch-logs.DeleteLogGroup", answer)
    boto3.Session().client("logs").create_log_group(logGroupName="/aws/lambda/own")
    left = remove_log_groups(clients, [*answers, "/aws/lambda/own"])
    kept = Resource("", "AWS::Logs::LogGroup", "another's")
    assert left == [(kept, "not authorized to perform: logs:DeleteLogGroup")]
    assert logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/own")["logGroups"] == []
