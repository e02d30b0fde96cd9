"""What functions may do, as the templates say it: no more than what is bound."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm

from stagedoor.constructs import App, Bucket, Function, Queue, Secret, Stack, Table, Topic
from tests.stagedoor.constructs.everything import everything, write_functions

OBJECTS = {"s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject"}
INDEXES = {"dynamodb:Query", "dynamodb:Scan"}


def statements(template: dict[str, Any]) -> Iterator[tuple[str, set[str], list[str]]]:
    """Yield what roles allow: whose it is, the actions, and the resources as text."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [properties["PolicyDocument"]] if resource["Type"] == "AWS::IAM::Policy" else []
        documents += [policy["PolicyDocument"] for policy in properties.get("Policies", ())]
        for statement in [each for document in documents for each in document["Statement"]]:
            actions, resources = statement["Action"], statement["Resource"]
            yield (
                name,
                {actions} if isinstance(actions, str) else set(actions),
                [json.dumps(each) for each in (resources if isinstance(resources, list) else [resources])],
            )


def test_no_function_has_a_wildcard_but_for_objects_and_the_indexes_of_others(
    app_folder: Path, new_app: Callable[..., App]
):
    write_functions(app_folder)
    app = new_app()
    names = [stack.artifact_id for stack in everything(app)]
    assembly = app.synth()
    templates = [assembly.get_stack_artifact(name).template for name in names]
    found = [each for template in templates for each in statements(template)]
    assert len(found) > 20
    for name, actions, resources in found:
        assert not any("*" in action for action in actions), name
        for resource in resources:
            if resource.endswith('"/*"]]}'):
                assert actions <= OBJECTS
            elif resource.endswith('"/index/*"]]}'):
                assert actions == INDEXES
                assert "PlainTable" in resource
            else:
                assert "*" not in resource, (name, resource)

    managed = {
        name: resource["Properties"]["ManagedPolicyArns"]
        for template in templates
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::IAM::Role" and "ManagedPolicyArns" in resource["Properties"]
    }
    assert all(name.startswith(("BucketNotificationsHandler", "PlainFunction")) for name in managed)


def test_a_bind_is_narrowed_and_widened(new_app: Callable[..., App], app_folder: Path):
    write_functions(app_folder)
    app = new_app()
    stack = Stack(app, "Data")
    key = kms.Key(stack, "Key")
    table = Table(stack, "Notes", partition_key="id")
    bucket = Bucket(stack, "Files", cdk={"bucket": {"encryption": None, "encryption_key": key}})
    queue = Queue(stack, "Jobs")
    Function(
        stack,
        "Greet",
        "functions/greet.handle",
        bind=[table.read(), bucket.delete(), bucket.read(), queue.receive(), Secret(stack, "StripeKey")],
    )
    template = app.synth().get_stack_artifact("Data").template
    allowed = {
        action for name, actions, _ in statements(template) if name.startswith("GreetRole") for action in actions
    }
    assert allowed == {
        *("logs:CreateLogStream", "logs:PutLogEvents"),
        *("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:ConditionCheckItem", "dynamodb:DescribeTable"),
        *("dynamodb:Query", "dynamodb:Scan"),
        *("s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "kms:Decrypt", "kms:DescribeKey"),
        *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"),
        "ssm:GetParameters",
    }
    [secret] = [resources for _, actions, resources in statements(template) if actions == {"ssm:GetParameters"}]
    assert [resource.split("parameter/")[1].rstrip('"]}') for resource in secret] == [
        "stagedoor/shop-abc123/pr-1/StripeKey",
        "stagedoor/shop-abc123/_fallback/StripeKey",
    ]


def test_what_was_imported_can_be_bound(new_app: Callable[..., App], app_folder: Path):
    write_functions(app_folder)
    app = new_app()
    stack = Stack(app, "Data")
    arn = "arn:aws:{}:eu-west-1:123456789012:{}".format
    Function(
        stack,
        "Greet",
        "functions/greet.handle",
        bind=[
            dynamodb.Table.from_table_name(stack, "OldTable", "rows"),
            s3.Bucket.from_bucket_name(stack, "OldBucket", "files"),
            sqs.Queue.from_queue_arn(stack, "OldQueue", arn("sqs", "jobs")),
            sns.Topic.from_topic_arn(stack, "OldTopic", arn("sns", "sales")),
            events.EventBus.from_event_bus_name(stack, "OldBus", "orders"),
            lambda_.Function.from_function_name(stack, "OldFunction", "greet"),
            secretsmanager.Secret.from_secret_name_v2(stack, "OldSecret", "stripe"),
            ssm.StringParameter.from_string_parameter_name(stack, "OldParameter", "/greeting"),
        ],
    )
    template = app.synth().get_stack_artifact("Data").template
    allowed = {next(iter(actions)).split(":")[0]: resources for _, actions, resources in statements(template)}
    assert [service for service in allowed if service != "logs"] == [
        *("dynamodb", "s3", "sqs", "sns", "events", "lambda", "secretsmanager", "ssm")
    ]
    assert allowed["secretsmanager"][0].endswith(':secret:stripe-??????"]]}')
    [function] = [each for each in template["Resources"].values() if each["Type"] == "AWS::Lambda::Function"]
    variables = function["Properties"]["Environment"]["Variables"]
    assert json.loads(variables["STAGEDOOR_BIND_Parameter_OldParameter"]) == {"parameter_name": "/greeting"}
    assert "/aws/reference/secretsmanager/stripe" in json.dumps(variables["STAGEDOOR_BIND_Secret_OldSecret"])


def test_a_function_of_another_stack_may_be_bound_to_what_it_hears_of(new_app: Callable[..., App], app_folder: Path):
    write_functions(app_folder)
    app = new_app()
    data, code = Stack(app, "Data"), Stack(app, "Code")
    function = Function(code, "Greet", "functions/greet.handle")
    table = Table(data, "Notes", partition_key="id", consumers={"Index": function})
    topic = Topic(data, "Sales", subscribers={"Mail": function})
    function.bind(table, topic, Queue(data, "Jobs", consumer=function))
    template = app.synth().get_stack_artifact("Code").template
    kinds = [resource["Type"] for resource in template["Resources"].values()]
    assert kinds.count("AWS::Lambda::EventSourceMapping") == 2
    assert kinds.count("AWS::SNS::Subscription") == 1
