"""An app with each construct of data and events, a function that hears of all of it, and one that may use all of it."""

from pathlib import Path
from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm

from stagedoor.constructs import App, Bucket, Cron, EventBus, Function, Parameter, Queue, Secret, Stack, Table, Topic
from stagedoor.constructs import bind as bind_to

SEEN = '''
import json, boto3
from stagedoor.runtime import Table

seen = boto3.resource("dynamodb").Table(Table.Seen.table_name)

def hear(event, context):
    """Write down where what was heard came from. A message that says "bad" is one that cannot be dealt with."""
    failed = []
    for record in event.get("Records", [event]):
        source = record.get("eventSource") or record.get("EventSource") or record.get("source") or "cron"
        body = record.get("body", "")
        if body == "bad":
            failed.append({"itemIdentifier": record["messageId"]})
            continue
        item = {"source": source, "what": json.dumps(record)}
        seen.put_item(Item=item)
    return {"batchItemFailures": failed}
'''

USE = '''
import boto3
from stagedoor.runtime import Bucket, EventBus, Function, Queue, Table, Topic

tables = boto3.resource("dynamodb")
s3, sqs, sns, events, functions = map(boto3.client, ("s3", "sqs", "sns", "events", "lambda"))

def all(event, context):
    """Do with each resource what binding it is for, and return what came of it."""
    table = tables.Table(Table.Notes.table_name)
    table.put_item(Item={"author": "ann", "created": 1, "topic": "tea", "title": "Tea"})
    tea = {"ExpressionAttributeValues": {":topic": "tea"}}
    by_topic = table.query(IndexName="ByTopic", KeyConditionExpression="topic = :topic", **tea)
    s3.put_object(Bucket=Bucket.Uploads.bucket_name, Key="in/a.txt", Body=b"text")
    s3.put_object(Bucket=Bucket.Uploads.bucket_name, Key="tmp", Body=b"text")
    s3.delete_object(Bucket=Bucket.Uploads.bucket_name, Key="tmp")
    for word in ("good", "bad"):
        sqs.send_message(QueueUrl=Queue.Jobs.queue_url, MessageBody=word)
    kind = {"DataType": "String", "StringValue": "refund"}
    sns.publish(TopicArn=Topic.Sales.topic_arn, Message="sold")
    sns.publish(TopicArn=Topic.Sales.topic_arn, Message="refunded", MessageAttributes={"kind": kind})
    entry = {"EventBusName": EventBus.Orders.event_bus_name, "Source": "shop", "Detail": "{}"}
    entries = [{**entry, "DetailType": word} for word in ("order.paid", "order.lost")]
    put = events.put_events(Entries=entries)
    called = functions.invoke(FunctionName=Function.Greet.function_name)
    return {
        "table": [one["title"] for one in by_topic["Items"]],
        "bucket": [one["Key"] for one in s3.list_objects_v2(Bucket=Bucket.Uploads.bucket_name)["Contents"]],
        "bus": put["FailedEntryCount"],
        "function": called["Payload"].read().decode(),
    }
'''

PLAIN = "import os\ndef handler(event, context): return sorted(n for n in os.environ if n.startswith('STAGEDOOR_BIND'))"


def write_functions(folder: Path) -> None:
    """Write the handlers below an app's folder."""
    for name, text in {
        "seen": SEEN,
        "use": USE,
        "greet": "def handle(event, context): return 'hello'",
    }.items():
        (folder / "functions").mkdir(exist_ok=True)
        (folder / "functions" / f"{name}.py").write_text(text)


def everything(app: App) -> tuple[Stack, Stack]:
    """Add the app's two stacks: the first has the data, the second the function that uses it."""
    data, code = Stack(app, "Data"), Stack(app, "Code")
    seen = Table(data, "Seen", partition_key="source")
    hear = Function(data, "Hear", "functions/seen.hear", bind=[seen.write()], timeout=10)
    notes = Table(
        data,
        "Notes",
        partition_key="author",
        sort_key="created: number",
        indexes={"ByTopic": {"partition_key": "topic", "projection": ["title"]}},
        local_indexes={"ByTitle": "title"},
        ttl="expires",
        consumers={"Index": {"to": hear, "from_start": True}},
    )
    uploads = Bucket(data, "Uploads", notifications={"Made": {"to": hear, "prefix": "in/"}}, expire={"tmp/": 7})
    jobs = Queue(data, "Jobs", consumer=hear, visibility_timeout=10, max_receives=1)
    audit = Queue(data, "Audit")
    refunds = {"to": audit, "filter": {"kind": ["refund"]}, "raw": True}
    sales = Topic(data, "Sales", subscribers={"Mail": hear, "Audit": refunds})
    orders = EventBus(data, "Orders", rules={"Paid": {"pattern": {"detail-type": ["order.paid"]}, "to": [hear, audit]}})
    Cron(data, "Nightly", "rate(1 day)", hear, input={"source": "clock"})
    Function(
        code,
        "Use",
        "functions/use.all",
        timeout=60,
        bind=[
            *(notes, uploads, uploads.delete(), jobs, sales, orders),
            Secret(data, "StripeKey"),
            Parameter(data, "Greeting", default="Hello"),
            Function(data, "Greet", "functions/greet.handle"),
            *plain(data),
        ],
    )
    return data, code


def plain(stack: Stack) -> list[Any]:
    """Add aws-cdk-lib's own of each kind."""
    key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    table = dynamodb.TableV2(stack, "PlainTable", partition_key=key)
    function = lambda_.Function(
        stack,
        "PlainFunction",
        runtime=lambda_.Runtime.PYTHON_3_12,
        handler="index.handler",
        code=lambda_.Code.from_inline(PLAIN),
    )
    bind_to(function, table)
    return [
        table,
        function,
        s3.Bucket(stack, "PlainBucket"),
        sqs.Queue(stack, "PlainQueue"),
        sns.Topic(stack, "PlainTopic"),
        events.EventBus(stack, "PlainBus", event_bus_name=f"{Aws.STACK_NAME}-plain"),
        ssm.StringParameter(stack, "PlainParameter", string_value="plain"),
    ]
