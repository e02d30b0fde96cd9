"""What becomes of asynchronous invocations that fail."""

from typing import Any

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_destinations as destinations
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stagedoor.constructs.errors import ConstructError


def invocation_arguments(scope: Construct, retries: int | None, on_failure: object) -> dict[str, Any]:
    """Return the arguments of aws-cdk-lib's function that say how it is invoked asynchronously.

    None of `retries` leaves Lambda's own two
    (https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html). Raises `ConstructError`.
    """
    if retries is not None and retries not in range(3):
        raise ConstructError(f"Lambda does not retry {retries} times.", "`retries` is 0, 1 or 2.", scope.node.path)
    said: dict[str, Any] = {} if retries is None else {"retry_attempts": retries}
    if on_failure is not None:
        said["on_failure"] = _destination(scope, on_failure)
    return said


def _destination(scope: Construct, wanted: object) -> lambda_.IDestination:
    """Return where failed events go; each of these allows the function to send there, and nothing else."""
    nodes = getattr(wanted, "nodes", None)
    for name in ("queue", "topic", "function"):
        wanted = getattr(nodes, name, None) or wanted
    if isinstance(wanted, sqs.QueueBase):
        return destinations.SqsDestination(wanted)
    if isinstance(wanted, sns.TopicBase):
        return destinations.SnsDestination(wanted)
    if isinstance(wanted, lambda_.FunctionBase):
        return destinations.LambdaDestination(wanted)
    raise ConstructError(
        f"{type(wanted).__name__} takes no failed events.",
        "`on_failure` is a queue, a topic or a function, ours or aws-cdk-lib's.",
        scope.node.path,
    )
