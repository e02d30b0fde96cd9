"""A Lambda function from a handler's source."""

import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from aws_cdk import AssetHashType, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stagedoor.bundling.bundle import python_bundle
from stagedoor.bundling.source import HandlerNotFound, find_source
from stagedoor.constructs.bind_code import bind as bind_to
from stagedoor.constructs.binding import Binding, statement, tell
from stagedoor.constructs.defaults import defaults_of
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.stage import stage_of
from stagedoor.constructs.words import check_nodes, keyed


@dataclass(frozen=True, slots=True)
class FunctionNodes:
    """The resources of a function."""

    function: lambda_.Function
    role: iam.Role
    log_group: logs.LogGroup


class Function(Construct):
    """A Lambda function.

        Function(stack, "Greet", "functions/greet.handle", bind=[table])

    The handler is a function of a file below the app's folder. `memory` is in MiB, `timeout` in seconds; what is not
    said is as in the app's defaults. Its log group goes with it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        handler: str,
        *,
        bind: Iterable[object] = (),
        environment: Mapping[str, str] | None = None,
        memory: int | None = None,
        timeout: float | None = None,
        architecture: str | None = None,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        check_nodes(cdk, "function", "role", "log_group", where=self.node.path)
        defaults, stage = defaults_of(self), stage_of(self)
        try:
            source = find_source(handler, Path.cwd())
        except HandlerNotFound as problem:
            raise ConstructError(str(problem), "See the handler's spelling.", self.node.path) from None
        bundle = python_bundle(source, None, with_runtime=True)
        log_group = logs.LogGroup(
            self,
            "Logs",
            **{
                "removal_policy": stage.removal_policy,
                "retention": logs.RetentionDays.ONE_YEAR if stage.lasting else logs.RetentionDays.TWO_WEEKS,
                **keyed(cdk, "log_group"),
            },
        )
        role = iam.Role(
            self,
            "Role",
            **{"assumed_by": iam.ServicePrincipal("lambda.amazonaws.com"), **keyed(cdk, "role")},
        )
        # What AWSLambdaBasicExecutionRole allows on all log groups, on this one. Streams are named by Lambda.
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[log_group.log_group_arn]
            )
        )
        function = lambda_.Function(
            self,
            "Function",
            **{
                "runtime": lambda_.Runtime(f"python{sys.version_info.major}.{sys.version_info.minor}"),
                "handler": source.handler,
                "code": lambda_.Code.from_asset(
                    str(bundle.folder), asset_hash=bundle.digest, asset_hash_type=AssetHashType.CUSTOM
                ),
                "architecture": lambda_.Architecture.ARM_64
                if (architecture or defaults.architecture) == "arm64"
                else lambda_.Architecture.X86_64,
                "memory_size": memory or defaults.memory,
                "timeout": Duration.millis(round((timeout or defaults.timeout) * 1000)),
                "environment": {**defaults.environment, **(environment or {})},
                "role": role,
                "log_group": log_group,
                **keyed(cdk, "function"),
            },
        )
        self._nodes = FunctionNodes(function, role, log_group)
        tell(self.binding)
        self.bind(*bind)

    @property
    def nodes(self) -> FunctionNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    @property
    def runs_code(self) -> lambda_.Function:
        """What is bound to resources."""
        return self._nodes.function

    def bind(self, *resources: object) -> None:
        """Let it use more resources."""
        bind_to(self, *resources)

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it: to call it."""
        function = self._nodes.function
        return Binding(
            "Function",
            self.node.id,
            self,
            {"function_name": function.function_name},
            {"invoke": (statement("lambda:InvokeFunction", function.function_arn),)},
            ("invoke",),
        )


def function_from(scope: Construct, construct_id: str, value: object, **defaults: Any) -> lambda_.IFunction:
    """Return the function that a user names where one is wanted.

    `value` is a handler (`"functions/notes.list"`), the arguments of a `Function` (`{"handler": …, "bind": […]}`), a
    `Function`, or a function of aws-cdk-lib. For the first two one is made in `scope`, with `defaults` for what the
    arguments do not say. `our_function` returns our own of what comes out. Raises `ConstructError` for anything else.
    """
    if isinstance(value, Function):
        return value.nodes.function
    if isinstance(value, str):
        value = {"handler": value}
    if isinstance(value, Mapping):
        unknown = sorted(set(value) - _ARGUMENTS)
        if unknown:
            raise ConstructError(
                f"A function has no {', '.join(map(repr, unknown))}.",
                f"It may have: {', '.join(sorted(_ARGUMENTS))}.",
                f"{scope.node.path}/{construct_id}",
            )
        return Function(scope, construct_id, **{**defaults, **value}).nodes.function
    if isinstance(value, Construct) and hasattr(type(value), "add_event_source"):
        return cast(lambda_.IFunction, value)
    raise ConstructError(
        f"{type(value).__name__} is not a function.",
        "Write a handler ('functions/notes.list'), its arguments ({'handler': …, 'bind': […]}), or a Function.",
        f"{scope.node.path}/{construct_id}",
    )


def our_function(function: lambda_.IFunction) -> Function | None:
    """Return the `Function` of ours that one of aws-cdk-lib is in; None where there is none."""
    scope = function.node.scope
    return scope if isinstance(scope, Function) else None


_ARGUMENTS = frozenset(inspect.signature(Function.__init__).parameters) - {"self", "scope", "construct_id"}
