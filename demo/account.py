"""What is in the local AWS account, listed by the ordinary AWS SDK."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3

Listing = Callable[[Any], Iterator[str]]


class Account:
    """One account of the local AWS, seen through boto3."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._endpoint = environment["AWS_ENDPOINT_URL"]
        self._session = boto3.Session(
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            region_name=environment["AWS_REGION"],
        )
        self._clients = {service: self._client(service) for service, _, _ in _LISTINGS}

    def resources(self) -> set[str]:
        """Return what is there, each as `kind name`: stacks, and everything that the example app's stack makes."""
        return {f"{kind} {name}" for service, kind, names_in in _LISTINGS for name in names_in(self._clients[service])}

    def _client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self._endpoint)  # type: ignore[call-overload]


def _each(operation: str, key: str, name: str) -> Listing:
    def names(client: Any) -> Iterator[str]:
        for page in client.get_paginator(operation).paginate():
            for found in page.get(key, []):
                yield found[name] if name else found

    return names


def _stacks(client: Any) -> Iterator[str]:
    for page in client.get_paginator("list_stacks").paginate():
        yield from (stack["StackName"] for stack in page["StackSummaries"] if stack["StackStatus"] != "DELETE_COMPLETE")


def _buckets(client: Any) -> Iterator[str]:
    yield from (bucket["Name"] for bucket in client.list_buckets()["Buckets"])


_LISTINGS: tuple[tuple[str, str, Listing], ...] = (
    ("cloudformation", "stack", _stacks),
    ("s3", "bucket", _buckets),
    ("logs", "log group", _each("describe_log_groups", "logGroups", "logGroupName")),
    ("dynamodb", "table", _each("list_tables", "TableNames", "")),
    ("lambda", "function", _each("list_functions", "Functions", "FunctionName")),
    ("apigatewayv2", "API", _each("get_apis", "Items", "ApiId")),
    ("iam", "role", _each("list_roles", "Roles", "RoleName")),
)
