"""Which public apps `bench/apps.py` tries, and what was found out about those that do not come through."""

from dataclasses import dataclass
from enum import StrEnum

REPOSITORY = "https://github.com/aws-samples/aws-cdk-examples"
COMMIT = "bccff1d2775e4b0bf777721c6b41c0107e122f73"


class Cause(StrEnum):
    """Who keeps an app from coming through."""

    APP = "the app"
    EMULATOR = "the local AWS"
    OURS = "Stagedoor"
    UNKNOWN = "not looked into"


@dataclass(frozen=True, slots=True)
class PublicApp:
    """A folder of the repository, the region that it names itself, if it does, and the parameters that it asks for.

    `cause` and `why` are what a person found of an app that fails, none for others.
    """

    path: str
    region: str = "us-east-1"
    cause: Cause | None = None
    why: str = ""
    parameters: tuple[str, ...] = ()


APPS = (
    PublicApp("python/api-cors-lambda", cause=Cause.APP, why="a runtime that AWS no longer takes (python3.7)"),
    PublicApp("python/api-eventbridge-lambda"),
    PublicApp("python/api-sqs-lambda"),
    PublicApp("python/apigw-http-api-lambda-dynamodb-python-cdk"),
    PublicApp("python/athena-s3-glue", cause=Cause.EMULATOR, why="it has no AWS::Athena::NamedQuery"),
    PublicApp(
        "python/cross-stack-resources/native-objects",
        "us-west-2",
        cause=Cause.APP,
        why="a runtime that AWS no longer takes (python3.7)",
    ),
    PublicApp(
        "python/cross-stack-resources/raw-strings",
        "us-west-2",
        cause=Cause.APP,
        why="a runtime that AWS no longer takes (python3.7)",
    ),
    PublicApp("python/custom-resource", cause=Cause.EMULATOR, why="its Lambda functions of Node have no AWS SDK"),
    PublicApp("python/dynamodb-lambda"),
    PublicApp("python/ec2/instance", cause=Cause.EMULATOR, why="it has no AWS::EC2::Instance"),
    PublicApp("python/ecs/cluster", cause=Cause.EMULATOR, why="it has none of AWS's public parameters"),
    PublicApp(
        "python/lambda-cloudwatch-dashboard", cause=Cause.EMULATOR, why="its Lambda functions of Node have no AWS SDK"
    ),
    PublicApp("python/lambda-cron"),
    PublicApp("python/lambda-layer"),
    PublicApp("python/lambda-s3-trigger", cause=Cause.APP, why="a runtime that AWS no longer takes (python3.7)"),
    PublicApp("python/my-widget-service"),
    PublicApp("python/rds/mysql", cause=Cause.APP, why="an instance class that RDS does not have for its engine"),
    PublicApp(
        "python/s3-sns-sqs-lambda-chain", cause=Cause.EMULATOR, why="its Lambda functions of Node have no AWS SDK"
    ),
    PublicApp("python/stepfunctions"),
    PublicApp("python/waf"),
    PublicApp(
        "typescript/api-cors-lambda-crud-dynamodb",
        cause=Cause.APP,
        why="its functions' packages have to be installed by hand",
    ),
    PublicApp("typescript/api-gateway-async-lambda-invocation"),
    PublicApp(
        "typescript/api-websocket-lambda-dynamodb", cause=Cause.EMULATOR, why="it has no AWS::ApiGatewayV2::Deployment"
    ),
    PublicApp("typescript/aspects"),
    PublicApp("typescript/cloudfront-functions", cause=Cause.EMULATOR, why="its Lambda functions have no layers"),
    PublicApp("typescript/cognito-api-lambda"),
    PublicApp(
        "typescript/custom-logical-names",
        cause=Cause.EMULATOR,
        why="a custom resource of CDK's own, which empties buckets, never answers there",
    ),
    PublicApp(
        "typescript/custom-resource-provider",
        cause=Cause.APP,
        why="`npm ci` refuses the lock file that `npm install` writes for it",
    ),
    PublicApp(
        "typescript/ddb-stream-lambda-sns",
        cause=Cause.APP,
        why="`npm ci` refuses the lock file that `npm install` writes for it",
    ),
    PublicApp("typescript/ecs/cross-stack-load-balancer", cause=Cause.EMULATOR, why="it has no AWS::EC2::EIP"),
    PublicApp("typescript/eventbridge-lambda", parameters=("email=owner@example.com",)),
    PublicApp("typescript/http-proxy-apigateway"),
    PublicApp(
        "typescript/lambda-manage-s3-event-notification",
        cause=Cause.APP,
        why="`npm ci` refuses the lock file that `npm install` writes for it",
    ),
    PublicApp(
        "typescript/my-widget-service",
        cause=Cause.EMULATOR,
        why="a custom resource of CDK's own, which empties buckets, never answers there",
    ),
    PublicApp(
        "typescript/resource-overrides",
        cause=Cause.APP,
        why="it sets a property that the type does not have, to show how",
    ),
    PublicApp(
        "typescript/s3-sns-lambda-chain",
        cause=Cause.EMULATOR,
        why="a custom resource of CDK's own, which empties buckets, never answers there",
    ),
    PublicApp("typescript/static-site-basic", cause=Cause.EMULATOR, why="its Lambda functions have no layers"),
    PublicApp("typescript/stepfunctions-job-poller"),
)

CAUSES = {
    "fixed-physical-name": Cause.APP,
    "foreign-environment": Cause.APP,
    "missing-context": Cause.APP,
    "synth-failed": Cause.APP,
    "template-invalid": Cause.APP,
    "no-stacks": Cause.APP,
    "unsupported-asset": Cause.OURS,
    "unsupported-dependencies": Cause.OURS,
    "legacy-synthesizer": Cause.OURS,
    "stack-elsewhere": Cause.OURS,
}
"""What an error's id alone says, where nobody looked closer."""
