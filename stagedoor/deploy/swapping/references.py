"""What the references in a template stand for in the account, where that is known without asking each service.

CloudFormation tells the physical id of each resource, which is what `Ref` stands for. Of attributes only those are
known that follow from the physical id: ARNs whose form is fixed, and names.
Source: the return values of https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
"""

from collections.abc import Mapping
from typing import Any

from stagedoor.assembly.expressions import Scope, Unresolved, evaluate, scope_of
from stagedoor.assembly.model import Template
from stagedoor.assembly.template import resources
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.comparison.resolution import HIDDEN
from stagedoor.deploy.stacks import ActualStack
from stagedoor.target import Target

_ATTRIBUTES = {
    "AWS::DynamoDB::Table": {"Arn": "arn:{partition}:dynamodb:{region}:{account}:table/{id}"},
    "AWS::Events::EventBus": {"Arn": "arn:{partition}:events:{region}:{account}:event-bus/{id}", "Name": "{id}"},
    "AWS::KMS::Key": {"Arn": "arn:{partition}:kms:{region}:{account}:key/{id}", "KeyId": "{id}"},
    "AWS::Kinesis::Stream": {"Arn": "arn:{partition}:kinesis:{region}:{account}:stream/{id}"},
    "AWS::Lambda::Function": {"Arn": "arn:{partition}:lambda:{region}:{account}:function:{id}"},
    "AWS::Logs::LogGroup": {"Arn": "arn:{partition}:logs:{region}:{account}:log-group:{id}:*"},
    "AWS::S3::Bucket": {"Arn": "arn:{partition}:s3:::{id}"},
    "AWS::SNS::Topic": {"TopicArn": "{id}", "TopicName": "{last}"},
    "AWS::SQS::Queue": {
        "Arn": "arn:{partition}:sqs:{region}:{account}:{last}",
        "QueueName": "{last}",
        "QueueUrl": "{id}",
    },
    "AWS::SecretsManager::Secret": {"Id": "{id}"},
    "AWS::StepFunctions::StateMachine": {"Arn": "{id}", "Name": "{last}"},
}


class Unresolvable(Exception):
    """A value that cannot be told from what the account says; the message is the expression."""


def scope_in_account(template: Template, actual: ActualStack, physical_ids: Mapping[str, str]) -> Scope:
    """Return what the names in a stack's template stand for. A parameter's hidden value stands for nothing."""
    parameters = {name: Unresolved.UNKNOWN if value == HIDDEN else value for name, value in actual.parameters.items()}
    _, partition, _, region, account, _ = actual.arn.split(":", 5)
    target = Target("", account, region, partition)
    scope = scope_of(template, target, actual.name, parameters, frozenset())
    known = dict(physical_ids)
    for logical_id, resource in resources(template):
        for attribute, form in _ATTRIBUTES.get(resource["Type"], {}).items():
            if physical_id := physical_ids.get(logical_id):
                last = physical_id.replace("/", ":").rpartition(":")[2]
                known[f"{logical_id}.{attribute}"] = form.format(
                    partition=partition, region=region, account=account, id=physical_id, last=last
                )
    return Scope(target, scope.stack_name, scope.parameters, scope.resources, known=known)


def resolve(value: Any, scope: Scope) -> Any:
    """Return a property's value with its references replaced; what is `AWS::NoValue` is left out, or None by itself.

    Raises `Unresolvable`.
    """
    if isinstance(value, list):
        return [item for item in (resolve(one, scope) for one in value) if item is not None]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::")):
        found = evaluate(value, scope)
        if found is Unresolved.ABSENT:
            return None
        if isinstance(found, Unresolved):
            raise Unresolvable(str(value))
        return found
    resolved = {key: resolve(one, scope) for key, one in value.items()}
    return {key: one for key, one in resolved.items() if one is not None}


def read_physical_ids(clients: Clients, arn: str) -> dict[str, str]:
    """Return the physical ids of a stack's resources by logical id, a hundred with each call."""
    pages = clients.cloudformation.get_paginator("list_stack_resources").paginate(StackName=arn)
    return {
        summary["LogicalResourceId"]: summary["PhysicalResourceId"]
        for page in pages
        for summary in page["StackResourceSummaries"]
        if summary.get("PhysicalResourceId")
    }
