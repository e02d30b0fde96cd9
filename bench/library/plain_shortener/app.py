"""The shortener of examples/ as one writes it with aws-cdk-lib alone: the same resources, none of ours."""

import sys
from pathlib import Path

from aws_cdk import App, CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration

FUNCTIONS = Path(__file__).parents[3] / "examples" / "shortener" / "functions"
ROUTES = {"POST /shorten": "shorten", "GET /{code}": "follow", "GET /stats/{code}": "stats"}

app = App()
stack = Stack(app, "Shortener")
links = dynamodb.Table(
    stack,
    "Links",
    partition_key=dynamodb.Attribute(name="code", type=dynamodb.AttributeType.STRING),
    billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
    removal_policy=RemovalPolicy.DESTROY,
)
api = apigateway.HttpApi(stack, "Api", create_default_stage=False)
access = logs.LogGroup(stack, "Access", removal_policy=RemovalPolicy.DESTROY)
apigateway.HttpStage(stack, "Stage", http_api=api, auto_deploy=True)
for key, handler in ROUTES.items():
    method, path = key.split()
    function = lambda_.Function(
        stack,
        handler.title(),
        runtime=lambda_.Runtime(f"python{sys.version_info.major}.{sys.version_info.minor}"),
        handler=f"links.{handler}",
        code=lambda_.Code.from_asset(str(FUNCTIONS)),
        memory_size=256,
        timeout=Duration.seconds(20),
        environment={"TABLE": links.table_name},
        log_group=logs.LogGroup(stack, f"{handler.title()}Logs", removal_policy=RemovalPolicy.DESTROY),
    )
    links.grant_read_write_data(function)
    api.add_routes(
        path=path, methods=[apigateway.HttpMethod[method]], integration=HttpLambdaIntegration(handler, function)
    )
CfnOutput(stack, "Url", value=api.api_endpoint)
app.synth()
