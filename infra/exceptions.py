"""What AWS's own rules (cdk-nag's AwsSolutions) would have otherwise, and why it is so here."""

from collections.abc import Iterable

from aws_cdk import Acknowledgment, Aws, Validations
from constructs import IConstruct


def accept(construct: IConstruct, rule: str, reason: str, *findings: str) -> None:
    """Accept what a rule says of a construct and all below it, for a reason.

    `rule` is its name without the pack's: `IAM5`. A rule with several findings on one resource has each accepted by
    its own name, such as `Resource::*`.
    """
    for each in [f"AwsSolutions-{rule}[{finding}]" for finding in findings] or [f"AwsSolutions-{rule}"]:
        Validations.of(construct).acknowledge(Acknowledgment(id=each, reason=reason))


def accept_wildcards(construct: IConstruct, resources: Iterable[str], reason: str) -> None:
    """Accept the wildcards in resources that a policy names, each by the name that cdk-nag gives it."""
    known = {
        Aws.PARTITION: "<AWS::Partition>",
        Aws.REGION: "<AWS::Region>",
        Aws.ACCOUNT_ID: "<AWS::AccountId>",
        Aws.STACK_NAME: "<AWS::StackName>",
    }
    for resource in resources:
        if "*" in resource:
            for token, name in known.items():
                resource = resource.replace(token, name)  # noqa: PLW2901
            accept(construct, "IAM5", reason, f"Resource::{resource}")
