"""A function that runs by the clock."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from stagedoor.constructs.dead_letters import dead_letters as queue_for
from stagedoor.constructs.dead_letters import keep_failures
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.new_destination import called_function
from stagedoor.constructs.stage import stage_of
from stagedoor.constructs.words import check_nodes, keyed


@dataclass(frozen=True, slots=True)
class CronNodes:
    """The resources of a cron; `role` is what EventBridge Scheduler calls the function with."""

    schedule: scheduler.CfnSchedule
    role: iam.Role
    function: lambda_.IFunction
    dead_letters: sqs.IQueue | None


class Cron(Construct):
    """A function that EventBridge Scheduler calls.

        Cron(stack, "Nightly", "cron(0 3 * * ? *)", "functions/report.write", time_zone="Asia/Tokyo", enabled=["prod"])

    `schedule` is `rate(5 minutes)`, `cron(…)` or `at(…)`, in `time_zone`
    (https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html). `enabled` is True, False, or the
    stages where it runs, as names or patterns (`prod*`); elsewhere the function is there to be called by hand. `input`
    is the event that the function gets. What cannot be delivered in `retries` (185) within `max_age` seconds (a day),
    and what the function fails on three times, goes to a queue, `dead_letters`: True for one of its own, False, or a
    Queue.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        schedule: str,
        function: object,
        *,
        enabled: bool | Iterable[str] = True,
        time_zone: str = "UTC",
        input: Mapping[str, Any] | None = None,
        retries: int = 185,
        max_age: int = 86400,
        dead_letters: object = True,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_nodes(cdk, "schedule", "role", "dead_letters", where=self.node.path)
        if not schedule.startswith(("rate(", "cron(", "at(")) or not schedule.endswith(")"):
            raise ConstructError(
                f"{schedule!r} is no schedule.",
                "Write 'rate(5 minutes)', 'cron(0 3 * * ? *)' or 'at(2030-01-01T00:00:00)'.",
                self.node.path,
            )
        called = called_function(self, construct_id, function)
        letters = queue_for(self, dead_letters, cdk)
        keep_failures(called, letters)
        role = self._role(called, letters, cdk)
        made = scheduler.CfnSchedule(
            self,
            "Schedule",
            **{
                "schedule_expression": schedule,
                "schedule_expression_timezone": time_zone,
                "state": "ENABLED" if self._is_enabled(enabled) else "DISABLED",
                "flexible_time_window": scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
                "target": scheduler.CfnSchedule.TargetProperty(
                    arn=called.function_arn,
                    role_arn=role.role_arn,
                    input=json.dumps(dict(input)) if input is not None else None,
                    retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                        maximum_retry_attempts=retries, maximum_event_age_in_seconds=max_age
                    ),
                    dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(arn=letters.queue_arn)
                    if letters is not None
                    else None,
                ),
                **keyed(cdk, "schedule"),
            },
        )
        # The role may call the function by a policy of its own, which is to be there at the first time.
        made.node.add_dependency(role)
        self._nodes = CronNodes(made, role, called, letters)

    @property
    def nodes(self) -> CronNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    def _role(
        self, function: lambda_.IFunction, letters: sqs.IQueue | None, cdk: Mapping[str, Mapping[str, Any]] | None
    ) -> iam.Role:
        """Return the role, which no other account's schedule can make use of
        (https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html).
        """
        account = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}}
        principal = iam.ServicePrincipal("scheduler.amazonaws.com", conditions=account)
        role = iam.Role(self, "Role", **{"assumed_by": principal, **keyed(cdk, "role")})
        role.add_to_policy(iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[function.function_arn]))
        if letters is not None:
            role.add_to_policy(iam.PolicyStatement(actions=["sqs:SendMessage"], resources=[letters.queue_arn]))
        return role

    def _is_enabled(self, said: bool | Iterable[str]) -> bool:
        if isinstance(said, bool):
            return said
        patterns = [said] if isinstance(said, str) else said
        return any(fnmatchcase(stage_of(self).name, pattern) for pattern in patterns)
