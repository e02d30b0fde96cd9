"""What becomes of asynchronous invocations that fail."""

from typing import Any, cast

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stagedoor.constructs.destination import existing_destination
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
        said["on_failure"] = _where_to(scope, on_failure)
    return said


def _where_to(scope: Construct, on_failure: object) -> lambda_.IDestination:
    """Return where failed events go; each of these allows the function to send there, and nothing else."""
    from aws_cdk import aws_lambda_destinations as destinations

    to = existing_destination(scope, "OnFailure", on_failure, "function queue topic")
    if to is None:
        raise ConstructError(
            f"Events cannot go to {on_failure!r}.", "`on_failure` is a queue, a topic or a function.", scope.node.path
        )
    if to.queue is not None:
        return destinations.SqsDestination(to.queue)
    if to.topic is not None:
        return destinations.SnsDestination(to.topic)
    return destinations.LambdaDestination(cast(lambda_.IFunction, to.function))
