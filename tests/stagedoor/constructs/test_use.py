"""Each construct of data and events, deployed, used by a function that is bound to it, and heard of by another."""

import json
from collections.abc import Callable
from pathlib import Path

from stagedoor.constructs import App
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
