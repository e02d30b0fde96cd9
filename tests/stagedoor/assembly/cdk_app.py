# mypy: ignore-errors
"""A CDK app with one of each class of reference. It is run by the interpreter that has aws-cdk-lib, not imported."""

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct


def table(scope: Construct, name: str, **properties) -> dynamodb.Table:
    key = dynamodb.Attribute(name="id", type=dynamodb.AttributeType.STRING)
    return dynamodb.Table(scope, name, partition_key=key, **properties)


class Data(cdk.Stack):
    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        self.files = s3.Bucket(self, "Files")
        self.notes = table(self, "Notes", deletion_protection=True)
        logs.LogGroup(self, "Log")
        ecr.Repository(self, "Images")
        cdk.CfnOutput(self, "Literal", value=self.files.bucket_name, export_name="files-bucket")
        cdk.CfnOutput(self, "Built", value=self.files.bucket_name, export_name=f"{cdk.Aws.STACK_NAME}-files")
        cdk.CfnOutput(self, "Plain", value=self.files.bucket_name)


class Inner(cdk.NestedStack):
    def __init__(self, scope: Construct, name: str, data: Data) -> None:
        super().__init__(scope, name)
        table(self, "Cache")
        cdk.CfnOutput(self, "NotesTable", value=data.notes.table_name)
        deep = cdk.NestedStack(self, "Deep")
        logs.LogGroup(deep, "DeepLog")
        cdk.CfnOutput(deep, "Files", value=cdk.Fn.import_value("files-bucket"))


class Api(cdk.Stack):
    def __init__(self, scope: Construct, name: str, data: Data) -> None:
        super().__init__(scope, name, tags={"team": "notes"}, termination_protection=True)
        code = lambda_.InlineCode("def handler(event, context): return {}")
        handler = lambda_.Function(
            self,
            "Handler",
            runtime=lambda_.Runtime.PYTHON_3_12,
            handler="index.handler",
            code=code,
            environment={"DATA_STACK": data.stack_name},
        )
        data.notes.grant_read_data(handler)
        apigateway.LambdaRestApi(self, "Rest", handler=handler, cloud_watch_role=True)
        self.bus = events.EventBus(self, "Bus")
        cdk.CfnOutput(self, "BusArn", value=self.bus.event_bus_arn)
        site = s3.Bucket(self, "Site", auto_delete_objects=True, removal_policy=cdk.RemovalPolicy.DESTROY)
        origin = origins.S3BucketOrigin.with_origin_access_control(site)
        cloudfront.Distribution(self, "Web", default_behavior=cloudfront.BehaviorOptions(origin=origin))
        Inner(self, "Inner", data)
        subbed = cdk.Fn.sub("${Data}-files", {"Data": data.stack_name})
        cdk.CfnOutput(self, "ImportedBySub", value=cdk.Fn.import_value(subbed))
        cdk.CfnOutput(self, "ImportedFromOthers", value=cdk.Fn.import_value("shared-vpc"))
        cdk.CfnOutput(self, "FromOutput", value=cdk.Fn.get_stack_output(data.stack_name, "Plain"))


class Fixed(cdk.Stack):
    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        sqs.Queue(self, "Jobs", queue_name="jobs")
        sns.Topic(self, "News", topic_name=f"{self.stack_name}-news")
        sns.Topic(self, "Own", topic_name=f"{cdk.Aws.STACK_NAME}-own")
        sns.Topic(self, "Staged", topic_name="notes-pr-1-staged")
        nested = cdk.NestedStack(self, "Within")
        table(nested, "Named", table_name="named")


class Near(cdk.Stack):
    def __init__(self, scope: Construct, name: str) -> None:
        environment = cdk.Environment(account="123456789012", region="us-east-1")
        super().__init__(scope, name, env=environment, cross_region_references=True)
        self.files = s3.Bucket(self, "NearFiles")


class Far(cdk.Stack):
    def __init__(self, scope: Construct, name: str, near: Near) -> None:
        environment = cdk.Environment(account="123456789012", region="eu-west-1")
        super().__init__(scope, name, env=environment, cross_region_references=True)
        cdk.CfnOutput(self, "NearBucket", value=near.files.bucket_name)


class Generated(cdk.Stack):
    """Owns a bucket that another region's stack calls by a name that CDK makes up."""

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name, env=cdk.Environment(account="123456789012", region="us-east-1"))
        self.files = s3.Bucket(self, "GeneratedFiles", bucket_name=cdk.PhysicalName.GENERATE_IF_NEEDED)


class Visitor(cdk.Stack):
    def __init__(self, scope: Construct, name: str, generated: Generated) -> None:
        super().__init__(scope, name, env=cdk.Environment(account="123456789012", region="eu-west-1"))
        cdk.CfnOutput(self, "GeneratedBucket", value=generated.files.bucket_arn)


app = cdk.App()
data = Data(app, "Data")
Api(app, "Api", data)
Fixed(app, "Fixed")
Far(app, "Far", Near(app, "Near"))
Visitor(app, "Visitor", Generated(app, "Generated"))
blue = cdk.Stage(app, "Blue")
s3.Bucket(cdk.Stack(blue, "Inside"), "Bucket")
app.synth()
