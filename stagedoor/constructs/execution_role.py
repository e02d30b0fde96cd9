"""The role of a function, and where it writes: only what is its own, in place of AWS's managed policies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.stage import StageInfo, stage_of
from stagedoor.constructs.words import keyed

RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
    731: logs.RetentionDays.TWO_YEARS,
    1827: logs.RetentionDays.FIVE_YEARS,
    3653: logs.RetentionDays.TEN_YEARS,
}
"""Days that a log may be kept, of those that CloudWatch Logs takes
(https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html)."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What a function runs with."""

    role: iam.Role
    log_group: logs.LogGroup


def execution(
    scope: Construct,
    *,
    days: int | None = None,
    assumable: bool = False,
    cdk: Mapping[str, Mapping[str, Any]] | None = None,
) -> Execution:
    """Make a function's role and log group in `scope`; `cdk` may override `role` and `log_group`.

    `assumable`: in a developer's own stages whoever the account lets assume it may, for `stagedoor shell --function`.
    """
    log_group = log_group_of(scope, "Logs", days, keyed(cdk, "log_group"))
    role = iam.Role(scope, "Role", **{"assumed_by": _trusted(stage_of(scope), assumable), **keyed(cdk, "role")})
    # What AWSLambdaBasicExecutionRole allows on all log groups, on this one. Its ARN from CloudFormation ends with
    # `:*`, which is what IAM wants for the group as for its streams, whose names are Lambda's
    # (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html).
    role.add_to_policy(
        iam.PolicyStatement(actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn])
    )
    return Execution(role, log_group)


def log_group_of(scope: Construct, construct_id: str, days: int | None, said: Mapping[str, Any]) -> logs.LogGroup:
    """Make a log group that is kept for so many days: by default 365 in stages that are to last, else 14."""
    stage = stage_of(scope)
    if days is not None and days not in RETENTION:
        raise ConstructError(
            f"Logs cannot be kept for {days} days.", f"They can for {', '.join(map(str, RETENTION))}.", scope.node.path
        )
    return logs.LogGroup(
        scope,
        construct_id,
        **{
            "removal_policy": stage.removal_policy,
            "retention": RETENTION[days or (365 if stage.lasting else 14)],
            **said,
        },
    )


def allow_vpc(role: iam.Role) -> None:
    """Allow what a function in a VPC needs: aws-cdk-lib adds nothing to a role that it was given.

    Interfaces have no names beforehand, and describing has no narrower form
    (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions).
    """
    stack = Stack.of(role)
    role.add_to_policy(
        iam.PolicyStatement(actions=["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"], resources=["*"])
    )
    role.add_to_policy(
        iam.PolicyStatement(
            actions=[
                "ec2:CreateNetworkInterface",
                "ec2:DeleteNetworkInterface",
                "ec2:AssignPrivateIpAddresses",
                "ec2:UnassignPrivateIpAddresses",
            ],
            resources=[stack.format_arn(service="ec2", resource="*", resource_name="*")],
        )
    )


def _trusted(stage: StageInfo, assumable: bool) -> iam.IPrincipal:
    service = iam.ServicePrincipal("lambda.amazonaws.com")
    if stage.lasting or stage.is_preview or not assumable:
        return service
    return iam.CompositePrincipal(service, iam.AccountRootPrincipal())
