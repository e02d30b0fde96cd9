"""Where events go, as a user writes it: what is there already, or a function that is made for them."""

from typing import cast

from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stagedoor.constructs.destination import Destination, existing_destination
from stagedoor.constructs.function import function_from


def destination(scope: Construct, construct_id: str, value: object, kinds: str = "function queue") -> Destination:
    """Return where a user wants events to go: to a function, in any of its forms, a queue or a topic, ours or
    aws-cdk-lib's. `kinds` are those that serve. Raises `ConstructError`.
    """
    found = existing_destination(scope, construct_id, value, kinds)
    return found or Destination(function=function_from(scope, construct_id, value))


def called_function(scope: Construct, construct_id: str, value: object) -> lambda_.IFunction:
    """Return the function that a user wants, in any of its forms. Raises `ConstructError`."""
    return cast(lambda_.IFunction, destination(scope, construct_id, value, "function").function)
