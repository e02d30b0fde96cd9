# mypy: ignore-errors
"""The app that the deploy benchmarks are measured with: a shop of 3 stacks and 50 resources, run by its own Python."""

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration


class Data(cdk.Stack):
    """Four tables, three buckets, three topics, four settings: 14 resources."""

    def __init__(self, scope, name):
        super().__init__(scope, name)
        key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
        self.tables = [
            dynamodb.Table(
                self,
                table,
                partition_key=key,
                billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
                removal_policy=cdk.RemovalPolicy.DESTROY,
            )
            for table in ("Orders", "Customers", "Products", "Reviews")
        ]
        self.buckets = [
            s3.Bucket(self, bucket, versioned=bucket == "Invoices", removal_policy=cdk.RemovalPolicy.DESTROY)
            for bucket in ("Pictures", "Invoices", "Exports")
        ]
        self.topics = [sns.Topic(self, topic) for topic in ("Ordered", "Paid", "Sent")]
        for setting in range(4):
            ssm.StringParameter(self, f"Setting{setting}", string_value=f"value {setting}")


class Work(cdk.Stack):
    """Three queues with dead letters and a function behind each: 18 resources."""

    def __init__(self, scope, name, data):
        super().__init__(scope, name)
        for topic, table in zip(("Invoice", "Mail", "Parcel"), data.tables, strict=False):
            dead = sqs.Queue(self, f"{topic}Dead")
            queue = sqs.Queue(self, topic, dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=3, queue=dead))
            worker = function(self, f"{topic}Worker", "mail", {"TABLE": table.table_name})
            table.grant_read_write_data(worker)
            worker.add_event_source(sources.SqsEventSource(queue, batch_size=5))


class Api(cdk.Stack):
    """An HTTP API with two functions, and a third function: 18 resources."""

    def __init__(self, scope, name, data):
        super().__init__(scope, name)
        api = apigateway.HttpApi(self, "Http")
        for route, table in zip(("orders", "customers"), data.tables, strict=False):
            answering = function(self, route.title(), route, {"TABLE": table.table_name})
            table.grant_read_write_data(answering)
            integration = HttpLambdaIntegration(f"{route}-integration", answering)
            api.add_routes(path=f"/{route}", methods=[apigateway.HttpMethod.GET], integration=integration)
        stored = function(self, "Stored", "mail", {"BUCKET": data.buckets[0].bucket_name})
        data.buckets[0].grant_read(stored)
        ssm.StringParameter(self, "Url", string_value=api.api_endpoint)
        cdk.CfnOutput(self, "Endpoint", value=api.api_endpoint)


def function(scope, name, folder, environment):
    return lambda_.Function(
        scope,
        name,
        runtime=lambda_.Runtime.PYTHON_3_12,
        handler="handler.handler",
        code=lambda_.Code.from_asset(f"functions/{folder}"),
        environment=environment,
    )


app = cdk.App()
data = Data(app, "ShopData")
Work(app, "ShopWork", data)
Api(app, "ShopApi", data)
app.synth()
