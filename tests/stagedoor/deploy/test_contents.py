"""What a stack's removal has to empty, and what it finds to remove: on the local AWS."""

import json

import boto3
import pytest

from stagedoor.deploy import contents
from stagedoor.deploy.clients import Clients
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
    remove_log_groups(clients, ["/aws/lambda/gone"])
