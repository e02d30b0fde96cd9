"""Each construct that runs code is bound to each resource, deployed where a role may do what its policies say and no
more, called by what it is for, and does with each resource what it must.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.aws.server import DEFAULT_ACCOUNT, LocalAws
from stagedoor.constructs import App
from stagedoor.naming import StageIdentity
from tests.stagedoor.constructs.live_stage import LiveStage, ask, stage_in, until_equal
from tests.stagedoor.constructs.pairs import pairs, write_functions

IDENTITY = StageIdentity(app="pairs", stage="pr-1", prefix="pairs-pr-1-abc123", repository="42", service="here")
RUN_CODE = {"Function", "Api", "Queue", "Table", "Topic", "EventBus", "Cron", "Bucket", "Script", "IFunction"}
READS = ["bucket.get", "bucket.list", "queue.receive", "table.get", "table.scan"]
WRITES = ["bucket.put", "queue.send", "table.put", "table.remove"]


@pytest.fixture
def deployed(
    constructs_aws: LocalAws,
    tmp_path: Path,
    app_folder: Path,
    new_app: Callable[..., App],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LiveStage]:
    """The stage, in the account whose URLs answer."""
    for name, value in constructs_aws.environment(DEFAULT_ACCOUNT).items():
        monkeypatch.setenv(name, value)
    live = stage_in(DEFAULT_ACCOUNT, IDENTITY, constructs_aws, tmp_path / "stage")
    live.client("ssm").put_parameter(
        Name="/stagedoor/shop-abc123/_fallback/StripeKey", Value="sk_test", Type="SecureString"
    )
    live.client("secretsmanager").create_secret(Name="plain", SecretString="sk_plain")
    write_functions(app_folder)
    app = new_app()
    pairs(app)
    live.deploy(app)
    yield live
    live.remove()


def test_each_construct_can_use_what_it_is_bound_to_and_no_more(deployed: LiveStage):
    told = deployed.bindings()
    trigger(deployed, told)
    seen = deployed.session.resource("dynamodb", endpoint_url=deployed.aws.endpoint).Table(
        told["Table.Seen"]["table_name"]
    )

    def done() -> dict[str, dict[str, Any]]:
        return {str(item["who"]): json.loads(str(item["done"])) for item in seen.scan()["Items"]}

    until_equal(lambda: set(done()), RUN_CODE)
    used = done()
    assert {who: {use: came for use, came in uses.items() if came is not True} for who, uses in used.items()} == {
        who: {} for who in RUN_CODE
    }
    assert len(used["Function"]) == 19

    names = {
        "table": told["Table.Rows"]["table_name"],
        "bucket": told["Bucket.Objects"]["bucket_name"],
        "queue": told["Queue.Messages"]["queue_url"],
    }
    deployed.client("s3").put_object(Bucket=names["bucket"], Key="there", Body=b"text")
    assert {name: deployed.call(name, names) for name in ("Reads", "Writes", "Deletes", "Bare", "Nothing")} == {
        "Reads": READS,
        "Writes": WRITES,
        "Deletes": ["bucket.delete"],
        "Bare": sorted({*READS, *WRITES} - {"queue.receive"}),
        "Nothing": [],
    }


def trigger(live: LiveStage, told: dict[str, dict[str, str]]) -> None:
    """Make happen what each construct calls its function for; a script's was called by the deploy."""
    live.call("Direct", {})
    live.call("PlainUser", {})
    assert ask(live, told["Api.Door"]["url"], "/use")[0] == 200
    live.client("sqs").send_message(QueueUrl=told["Queue.Asked"]["queue_url"], MessageBody="use")
    item = {"id": {"S": "1"}}
    live.client("dynamodb").put_item(TableName=told["Table.Changed"]["table_name"], Item=item)
    live.client("sns").publish(TopicArn=told["Topic.Told"]["topic_arn"], Message="use")
    entry = {"EventBusName": told["EventBus.Heard"]["event_bus_name"], "Source": "test", "Detail": "{}"}
    live.client("events").put_events(Entries=[{**entry, "DetailType": "use"}])
    live.client("s3").put_object(Bucket=told["Bucket.Filled"]["bucket_name"], Key="one", Body=b"use")
    [schedule] = live.client("scheduler").list_schedules()["Schedules"]
    live.invoke(live.client("scheduler").get_schedule(Name=schedule["Name"])["Target"]["Arn"], {})
