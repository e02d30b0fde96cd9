"""A door for each kind of event: an HTTP API, a queue, a schedule, a bucket and a table's stream."""

import aws_cdk as cdk
from aws_cdk import Duration, RemovalPolicy, TimeZone
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_lambda_nodejs as nodejs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_notifications as notifications
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration

app = cdk.App()
stack = cdk.Stack(app, "Doors")


def python(name: str) -> lambda_.Function:
    return lambda_.Function(
        stack,
        name,
        runtime=lambda_.Runtime.PYTHON_3_12,
        handler=f"{name.lower()}.handle",
        code=lambda_.Code.from_asset("functions/python"),
        timeout=Duration.seconds(10),
    )


hello = python("Hello")
greet = nodejs.NodejsFunction(
    stack, "Greet", entry="functions/greet/index.ts", runtime=lambda_.Runtime.NODEJS_22_X, timeout=Duration.seconds(10)
)
api = apigateway.HttpApi(stack, "Api", default_integration=HttpLambdaIntegration("HelloIntegration", hello))
api.add_routes(path="/greet/{name}", integration=HttpLambdaIntegration("GreetIntegration", greet))

worker = python("Worker")
queue = sqs.Queue(stack, "Jobs", visibility_timeout=Duration.seconds(30))
bucket = s3.Bucket(stack, "Files", removal_policy=RemovalPolicy.DESTROY)
table = dynamodb.Table(
    stack,
    "Rows",
    partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
    stream=dynamodb.StreamViewType.NEW_IMAGE,
    removal_policy=RemovalPolicy.DESTROY,
)
worker.add_event_source(sources.SqsEventSource(queue))
worker.add_event_source(sources.DynamoEventSource(table, starting_position=lambda_.StartingPosition.LATEST))
bucket.add_event_notification(s3.EventType.OBJECT_CREATED, notifications.LambdaDestination(worker))
schedule = scheduler.Schedule(
    stack,
    "Once",
    schedule=scheduler.ScheduleExpression.expression("at(2099-01-01T00:00:00)", TimeZone.ETC_UTC),
    target=targets.LambdaInvoke(worker),
)
results = dynamodb.Table(
    stack,
    "Results",
    partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
    removal_policy=RemovalPolicy.DESTROY,
)
results.grant_write_data(worker)
worker.add_environment("RESULTS", results.table_name)

for name, value in {
    "Url": api.api_endpoint,
    "QueueUrl": queue.queue_url,
    "BucketName": bucket.bucket_name,
    "TableName": table.table_name,
    "Moment": schedule.schedule_name,
    "ResultsName": results.table_name,
}.items():
    cdk.CfnOutput(stack, name, value=value)
app.synth()
