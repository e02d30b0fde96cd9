"""An app in which each construct that runs code is bound to each resource that there is, ours and aws-cdk-lib's."""

import shutil
from pathlib import Path
from typing import Any

from aws_cdk import Aws
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm

import stagedoor.runtime
from stagedoor.constructs import (
    Api,
    App,
    Bucket,
    Cron,
    EventBus,
    Function,
    Parameter,
    Queue,
    Script,
    Secret,
    Stack,
    StaticSite,
    Table,
    Topic,
    bind,
)

USE = '''
import json, os, urllib.request
from urllib.parse import urlsplit
import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from stagedoor.runtime import Api, Bucket, EventBus, Function, Parameter, Queue, Secret, StaticSite, Table, Topic

tables = boto3.resource("dynamodb")
s3, sqs, sns, events, functions = map(boto3.client, ("s3", "sqs", "sns", "events", "lambda"))
secrets = boto3.client("secretsmanager")

def everything(event, context):
    """Use all that there is, and write down what came of it. `WHO` is whose function this is."""
    who = os.environ["WHO"]
    done = {}
    for name, use in USES.items():
        try:
            done[name] = use(who)
        except Exception as problem:
            done[name] = f"{type(problem).__name__}: {problem}"
    tables.Table(Table.Seen.table_name).put_item(Item={"who": who, "done": json.dumps(done)})
    return {"statusCode": 200, "body": "done"}

def table(found, keys, index=None):
    rows = tables.Table(found.table_name)
    def use(who):
        rows.put_item(Item={"id": who, "topic": "tea"})
        if index:
            told = {"ExpressionAttributeValues": {":topic": "tea"}}
            rows.query(IndexName=index, KeyConditionExpression="topic = :topic", **told)
        got = rows.get_item(Key={"id": who})["Item"]["id"]
        rows.delete_item(Key={"id": who})
        return got == who
    return use

def bucket(found, deletes=False):
    name = found.bucket_name
    def use(who):
        s3.put_object(Bucket=name, Key=who, Body=b"text")
        got = s3.get_object(Bucket=name, Key=who)["Body"].read()
        listed = [one["Key"] for one in s3.list_objects_v2(Bucket=name, Prefix=who)["Contents"]]
        if deletes:
            s3.delete_object(Bucket=name, Key=who)
        return (got, listed) == (b"text", [who])
    return use

def queue(found):
    return lambda who: bool(sqs.send_message(QueueUrl=found.queue_url, MessageBody=who)["MessageId"])

def topic(found):
    return lambda who: bool(sns.publish(TopicArn=found.topic_arn, Message=who)["MessageId"])

def bus(found):
    entry = {"EventBusName": found.event_bus_name, "Source": "shop", "DetailType": "use", "Detail": "{}"}
    return lambda who: events.put_events(Entries=[entry])["FailedEntryCount"] == 0

def function(found):
    return lambda who: functions.invoke(FunctionName=found.function_name)["Payload"].read() == b'"hello"'

def signed(who):
    where, here = urlsplit(Api.Web.url), urlsplit(os.environ["AWS_ENDPOINT_URL"])
    request = AWSRequest("GET", f"{Api.Web.url}/signed")
    session = boto3.Session()
    SigV4Auth(session.get_credentials().get_frozen_credentials(), "execute-api", session.region_name).add_auth(request)
    headers = {**dict(request.headers), "Host": where.netloc.replace("amazonaws.com", "localhost")}
    asked = urllib.request.Request(f"{here.scheme}://{here.netloc}/signed", headers=headers)
    return urllib.request.urlopen(asked, timeout=20).read() == b"signed"

USES = {
    "Table": table(Table.Notes, "ByTopic", "ByTopic"),
    "Bucket": bucket(Bucket.Files, deletes=True),
    "Queue": queue(Queue.Jobs),
    "Topic": topic(Topic.Sales),
    "EventBus": bus(EventBus.Orders),
    "Function": function(Function.Greet),
    "Api": signed,
    "StaticSite": lambda who: StaticSite.Docs.url.startswith("https://"),
    "Secret": lambda who: Secret.StripeKey.value == "sk_test",
    "Parameter": lambda who: Parameter.Greeting.value == "Hello",
    "ITable": table(Table.OldTable, "id"),
    "ITableV2": table(Table.PlainTable, "id"),
    "IBucket": bucket(Bucket.PlainBucket),
    "IQueue": queue(Queue.PlainQueue),
    "ITopic": topic(Topic.PlainTopic),
    "IEventBus": bus(EventBus.PlainBus),
    "IFunction": function(Function.PlainFunction),
    # The local AWS's parameter store knows nothing of Secrets Manager, by which `.value` would come.
    "ISecret": lambda who: secrets.get_secret_value(SecretId=Secret.PlainSecret.secret_arn)["Name"] == "plain",
    "IStringParameter": lambda who: Parameter.PlainParameter.value == "plain",
}
'''

NARROW = '''
import boto3
from botocore.exceptions import ClientError

def attempt(names, context):
    """Try all that may be done with a table, a bucket and a queue, and return what was allowed."""
    table = boto3.resource("dynamodb").Table(names["table"])
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    uses = {
        "table.get": lambda: table.get_item(Key={"id": "1"}),
        "table.scan": lambda: table.scan(),
        "table.put": lambda: table.put_item(Item={"id": "1"}),
        "table.remove": lambda: table.delete_item(Key={"id": "1"}),
        "bucket.list": lambda: s3.list_objects_v2(Bucket=names["bucket"]),
        "bucket.get": lambda: s3.get_object(Bucket=names["bucket"], Key="there"),
        "bucket.put": lambda: s3.put_object(Bucket=names["bucket"], Key="new", Body=b"text"),
        "bucket.delete": lambda: s3.delete_object(Bucket=names["bucket"], Key="new"),
        "queue.send": lambda: sqs.send_message(QueueUrl=names["queue"], MessageBody="text"),
        "queue.receive": lambda: sqs.receive_message(QueueUrl=names["queue"]),
    }
    return sorted(name for name, use in uses.items() if allowed(use))

def allowed(use):
    try:
        use()
    except ClientError as refusal:
        if not refusal.response["Error"]["Code"].startswith("AccessDenied"):
            raise
        return False
    return True
'''

OTHERS = """
def handle(event, context):
    return "hello"

def signed(event, context):
    return {"statusCode": 200, "body": "signed"}
"""


def write_functions(folder: Path) -> None:
    """Write the handlers and a site below an app's folder."""
    files = {
        "functions/use.py": USE,
        "functions/narrow.py": NARROW,
        "functions/others.py": OTHERS,
        "docs/index.html": "<p>",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    # What a function of aws-cdk-lib brings itself: the same handler, with what it imports.
    shutil.copytree(folder / "functions", folder / "plain")
    shutil.copytree(Path(stagedoor.runtime.__file__).parent, folder / "plain" / "stagedoor" / "runtime")
    (folder / "plain" / "stagedoor" / "__init__.py").touch()


def pairs(app: App) -> None:
    """Add two stacks: one with all that can be bound, one with all that runs code."""
    data, code = Stack(app, "Data"), Stack(app, "Code")
    seen = Table(data, "Seen", partition_key="who")
    bound = [seen.write(), *ours(data), *of_aws_cdk_lib(data)]

    def user(who: str) -> dict[str, Any]:
        return {
            "handler": "functions/use.everything",
            "environment": {"WHO": who},
            "bind": bound,
            "timeout": 60,
            "permissions": [parameters()],
        }

    Function(code, "Direct", **user("Function"))
    Api(code, "Door", routes={"GET /use": user("Api")})
    Queue(code, "Asked", consumer=user("Queue"), visibility_timeout=360)
    Table(code, "Changed", partition_key="id", consumers={"User": {"to": user("Table"), "from_start": True}})
    Topic(code, "Told", subscribers={"User": user("Topic")})
    EventBus(code, "Heard", rules={"User": {"pattern": {"source": ["test"]}, "to": [user("EventBus")]}})
    Cron(code, "Nightly", "rate(1 day)", user("Cron"))
    Bucket(code, "Filled", notifications={"User": user("Bucket")})
    Script(code, "Seed", on_create=user("Script"), depends_on=[data])
    plain = lambda_.Function(
        code,
        "PlainUserFunction",
        runtime=lambda_.Runtime.PYTHON_3_12,
        handler="use.everything",
        code=lambda_.Code.from_asset(str(Path("plain").resolve())),
        environment={"WHO": "IFunction"},
    )
    plain.add_to_role_policy(parameters())
    bind(plain, *bound)
    narrowed(data)


def ours(stack: Stack) -> list[Any]:
    """Add one of each kind of ours, and return how code is bound to it so that it may do all that there is."""
    files = Bucket(stack, "Files")
    signed = {"handler": "functions/others.signed", "authorizer": "iam"}
    return [
        Table(stack, "Notes", partition_key="id", indexes={"ByTopic": "topic"}),
        files,
        files.delete(),
        Queue(stack, "Jobs"),
        Topic(stack, "Sales"),
        EventBus(stack, "Orders"),
        Function(stack, "Greet", "functions/others.handle"),
        Api(stack, "Web", routes={"GET /signed": signed}),
        StaticSite(stack, "Docs", "docs"),
        Secret(stack, "StripeKey"),
        Parameter(stack, "Greeting", default="Hello"),
    ]


def of_aws_cdk_lib(stack: Stack) -> list[Any]:
    """Add aws-cdk-lib's own of each kind that can be bound."""
    key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    return [
        dynamodb.Table(stack, "OldTable", partition_key=key),
        dynamodb.TableV2(stack, "PlainTable", partition_key=key),
        s3.Bucket(stack, "PlainBucket"),
        sqs.Queue(stack, "PlainQueue"),
        sns.Topic(stack, "PlainTopic"),
        events.EventBus(stack, "PlainBus", event_bus_name=f"{Aws.STACK_NAME}-plain"),
        lambda_.Function(
            stack,
            "PlainFunction",
            runtime=lambda_.Runtime.PYTHON_3_12,
            handler="others.handle",
            code=lambda_.Code.from_asset(str(Path("plain").resolve())),
        ),
        secretsmanager.Secret.from_secret_name_v2(stack, "PlainSecret", "plain"),
        ssm.StringParameter(stack, "PlainParameter", string_value="plain"),
    ]


def narrowed(stack: Stack) -> None:
    """Add functions that are bound to a table, a bucket and a queue for less than all."""
    table = Table(stack, "Rows", partition_key="id")
    bucket = Bucket(stack, "Objects")
    queue = Queue(stack, "Messages")
    accesses: dict[str, list[Any]] = {
        "Reads": [table.read(), bucket.read(), queue.receive()],
        "Writes": [table.write(), bucket.write(), queue.send()],
        "Deletes": [bucket.delete()],
        "Bare": [table, bucket, queue],
        "Nothing": [],
    }
    for name, bound in accesses.items():
        Function(stack, name, "functions/narrow.attempt", bind=bound, timeout=60)


def parameters() -> iam.PolicyStatement:
    """What the local AWS wants for `ssm:GetParameters`, which it asks for all parameters at once; test_policies.py has
    what our own statement says."""
    return iam.PolicyStatement(actions=["ssm:GetParameters"], resources=["*"])
