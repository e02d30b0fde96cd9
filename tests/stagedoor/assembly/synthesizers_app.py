# mypy: ignore-errors
"""A CDK app with each synthesizer, kind of asset and kind of artifact; run by the interpreter with aws-cdk-lib."""

import tempfile
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_codecommit as codecommit
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_sqs as sqs
from aws_cdk import pipelines

SOURCES = Path(tempfile.mkdtemp())
FOLDER, FILE = str(SOURCES / "folder"), str(SOURCES / "file.txt")
Path(FOLDER).mkdir()
Path(FOLDER, "index.py").write_text("def handler(event, context): return {}")
Path(FILE).write_text("hello")
HERE = cdk.Environment(account="123456789012", region="us-east-1")


class Assets(cdk.Stack):
    """A function whose code is a folder, and a file."""

    def __init__(self, scope, name, **more):
        super().__init__(scope, name, **more)
        lambda_.Function(
            self,
            "Handler",
            runtime=lambda_.Runtime.PYTHON_3_12,
            handler="index.handler",
            code=lambda_.Code.from_asset(FOLDER),
        )
        asset = s3_assets.Asset(self, "File", path=FILE)
        cdk.CfnOutput(self, "FileUrl", value=asset.s3_object_url)


app = cdk.App()
Assets(app, "Default", synthesizer=cdk.DefaultStackSynthesizer(qualifier="mine"))
Assets(app, "Credentials", synthesizer=cdk.CliCredentialsStackSynthesizer(), env=HERE)
Assets(app, "Legacy", synthesizer=cdk.LegacyStackSynthesizer())
bootstrapless = cdk.Stack(app, "Bootstrapless", synthesizer=cdk.BootstraplessSynthesizer())
sqs.Queue(bootstrapless, "Queue")

image = cdk.Stack(app, "Image", synthesizer=cdk.DefaultStackSynthesizer())
ecr_assets.DockerImageAsset(image, "Image", directory=FOLDER, file="index.py", build_args={"A": "b"})

told = cdk.Stack(
    app,
    "Told",
    stack_name="told-by-name",
    description="All that a stack can be told",
    tags={"team": "notes"},
    termination_protection=True,
    notification_arns=["arn:aws:sns:us-east-1:123456789012:topic"],
    env=HERE,
)
parameter = cdk.CfnParameter(told, "Word", default="hello")
sqs.Queue(told, "Queue", queue_name=parameter.value_as_string)
told.add_dependency(bootstrapless)
cdk.Annotations.of(told).add_warning("Something to know")

serverless = cdk.Stack(app, "Serverless")
serverless.template_options.transforms = ["AWS::Serverless-2016-10-31"]
iam.User(cdk.NestedStack(serverless, "Within"), "Robot")


class Deployed(cdk.Stage):
    def __init__(self, scope, name):
        super().__init__(scope, name)
        Assets(self, "Inside")


delivery = cdk.Stack(app, "Delivery", env=HERE)
repository = codecommit.Repository(delivery, "Repository", repository_name="notes")
source = pipelines.CodePipelineSource.code_commit(repository, "main")
pipeline = pipelines.CodePipeline(
    delivery, "Pipeline", synth=pipelines.ShellStep("Synth", input=source, commands=["x"])
)
pipeline.add_stage(Deployed(delivery, "Beta"))
app.synth()
