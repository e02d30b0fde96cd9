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
    """A folder of the repository. `cause` and `why` are what a person found of an app that fails, none for others."""

    path: str
    cause: Cause | None = None
    why: str = ""


APPS = (
    PublicApp("python/api-sqs-lambda"),
    PublicApp("python/dynamodb-lambda"),
    PublicApp("python/s3-sns-sqs-lambda-chain"),
    PublicApp("python/cross-stack-resources/native-objects"),
    PublicApp("typescript/eventbridge-lambda"),
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
