"""Everything that the notes service consists of."""

from pathlib import Path

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk.aws_apigatewayv2_integrations import HttpLambdaIntegration
from constructs import Construct

FUNCTIONS = Path(__file__).parent.parent / "functions"


class NotesStack(Stack):
    """An HTTP API in front of one function, which keeps each note in a table and a copy of its text in a bucket."""

    def __init__(self, scope: Construct, construct_id: str, **kwargs: object) -> None:
        super().__init__(scope, construct_id, **kwargs)

        table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        )
        # CDK retains buckets and tables by default: they outlive their stack unless somebody deletes them.
        bucket = s3.Bucket(self, "Archive")

        function = lambda_.Function(
            self,
            "Function",
            runtime=lambda_.Runtime.PYTHON_3_12,
            handler="handler.handle",
            code=lambda_.Code.from_asset(str(FUNCTIONS / "notes")),
            timeout=Duration.seconds(10),
            environment={"TABLE": table.table_name, "BUCKET": bucket.bucket_name},
        )
        table.grant_read_write_data(function)
        bucket.grant_read_write(function)

        api = apigateway.HttpApi(self, "Api", default_integration=HttpLambdaIntegration("Integration", function))

        CfnOutput(self, "Url", value=api.api_endpoint, description="Where the notes are")
