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
    """A folder of the repository, and the region that it names itself, if it does.

    `cause` and `why` are what a person found of an app that fails, none for others.
    """

    path: str
    region: str = "us-east-1"
    cause: Cause | None = None
    why: str = ""


APPS = (
    PublicApp("python/api-cors-lambda"),
    PublicApp("python/api-eventbridge-lambda"),
    PublicApp("python/api-sqs-lambda"),
    PublicApp("python/apigw-http-api-lambda-dynamodb-python-cdk"),
    PublicApp("python/athena-s3-glue"),
    PublicApp("python/cross-stack-resources/native-objects", "us-west-2"),
    PublicApp("python/cross-stack-resources/raw-strings", "us-west-2"),
    PublicApp("python/custom-resource"),
    PublicApp("python/dynamodb-lambda"),
    PublicApp("python/ec2/instance"),
    PublicApp("python/ecs/cluster"),
    PublicApp("python/lambda-cloudwatch-dashboard"),
    PublicApp("python/lambda-cron"),
    PublicApp("python/lambda-layer"),
    PublicApp("python/lambda-s3-trigger"),
    PublicApp("python/my-widget-service"),
    PublicApp("python/rds/mysql"),
    PublicApp("python/s3-sns-sqs-lambda-chain"),
    PublicApp("python/stepfunctions"),
    PublicApp("python/waf"),
    PublicApp("typescript/api-cors-lambda-crud-dynamodb"),
    PublicApp("typescript/api-gateway-async-lambda-invocation"),
    PublicApp("typescript/api-websocket-lambda-dynamodb"),
    PublicApp("typescript/aspects"),
    PublicApp("typescript/cloudfront-functions"),
    PublicApp("typescript/cognito-api-lambda"),
    PublicApp("typescript/custom-logical-names"),
    PublicApp("typescript/custom-resource-provider"),
    PublicApp("typescript/ddb-stream-lambda-sns"),
    PublicApp("typescript/ecs/cross-stack-load-balancer"),
    PublicApp("typescript/eventbridge-lambda"),
    PublicApp("typescript/http-proxy-apigateway"),
    PublicApp("typescript/lambda-manage-s3-event-notification"),
    PublicApp("typescript/my-widget-service"),
    PublicApp("typescript/resource-overrides"),
    PublicApp("typescript/s3-sns-lambda-chain"),
    PublicApp("typescript/static-site-basic"),
    PublicApp("typescript/stepfunctions-job-poller"),
)

CAUSES = {
    "fixed-physical-name": Cause.APP,
    "foreign-environment": Cause.APP,
    "missing-context": Cause.APP,
    "synth-failed": Cause.APP,
    "no-stacks": Cause.APP,
    "unsupported-asset": Cause.OURS,
    "unsupported-dependencies": Cause.OURS,
    "legacy-synthesizer": Cause.OURS,
    "stack-elsewhere": Cause.OURS,
}
"""What an error's id alone says, where nobody looked closer."""
