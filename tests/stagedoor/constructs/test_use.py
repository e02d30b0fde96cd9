"""Each construct of data and events, deployed, used by a function that is bound to it, and heard of by another."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from stagedoor.constructs import App, Queue, Stack, Topic
from tests.stagedoor.constructs.everything import everything, write_functions
from tests.stagedoor.constructs.live_stage import LiveStage, eventually


def test_what_is_bound_can_be_used_and_what_happens_is_heard_of(
    live: LiveStage, app_folder: Path, new_app: Callable[..., App]
):
    write_functions(app_folder)
    app = new_app()
    everything(app)
    live.deploy(app)

    assert live.call("Use", {}) == {
        "table": ["Tea"],
        "bucket": ["in/a.txt"],
        "bus": 0,
        "function": '"hello"',
    }

    [schedule] = live.client("scheduler").list_schedules()["Schedules"]
    target = live.client("scheduler").get_schedule(Name=schedule["Name"])["Target"]
    live.invoke(target["Arn"], json.loads(target["Input"]))

    told = live.bindings()
    seen = live.session.resource("dynamodb", endpoint_url=live.aws.endpoint).Table(told["Table.Seen"]["table_name"])
    everywhere = {"aws:dynamodb", "aws:s3", "aws:sqs", "aws:sns", "shop", "clock"}
    eventually(lambda: {item["source"] for item in seen.scan()["Items"]} == everywhere)

    def messages(url: str) -> list[str]:
        answer = live.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [message["Body"] for message in answer.get("Messages", ())]

    audit: list[str] = []
    while "refunded" not in audit:
        audit += eventually(lambda: messages(told["Queue.Audit"]["queue_url"]))
    assert "sold" not in audit
    queues = live.client("sqs").list_queues()["QueueUrls"]
    [dead] = [url for url in queues if "JobsDeadLetters" in url]
    assert eventually(lambda: messages(dead)) == ["bad"]

    live.remove()
    buckets = [bucket["Name"] for bucket in live.client("s3").list_buckets()["Buckets"]]
    assert [name for name in buckets if not name.startswith("cdk-hnb659fds-assets-")] == [], "its own go, with objects"


def test_services_of_its_own_account_publish_to_a_topic(live: LiveStage, new_app: Callable[..., App]):
    """S3 speaks here for all of them: of it alone the local AWS asks a topic's policy."""
    app = new_app()
    stack = Stack(app, "Shop")
    Topic(stack, "News", subscribers={"Heard": {"to": Queue(stack, "Heard"), "raw": True}})
    live.deploy(app)
    told = live.bindings()
    news = {"TopicArn": told["Topic.News"]["topic_arn"], "Events": ["s3:ObjectCreated:*"]}

    def notify(s3: Any, bucket: str) -> None:
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [news]}
        )

    own = live.client("s3")
    notify(own, f"files-{live.target.account}")
    own.put_object(Bucket=f"files-{live.target.account}", Key="note", Body=b"x")
    queue = {"QueueUrl": told["Queue.Heard"]["queue_url"], "MaxNumberOfMessages": 10}
    eventually(
        lambda: [
            each
            for each in live.client("sqs").receive_message(**queue).get("Messages", ())
            if "ObjectCreated" in each["Body"]
        ]
    )

    stranger = boto3.Session("999999999999", "local", region_name="us-east-1")
    with pytest.raises(ClientError, match="Unable to validate the following destination"):
        notify(stranger.client("s3", endpoint_url=live.aws.endpoint), "files-999999999999")
    live.remove()
