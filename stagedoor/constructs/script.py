"""A script: functions of the app that are called when a stage is created, updated or deleted."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_cdk import CustomResource, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.function import function_from, our_function
from stagedoor.constructs.provider import Provider
from stagedoor.constructs.words import check_nodes, keyed

TIMEOUT = 300
_LONGEST = 840
"""Seconds that a script may take: what calls it is a function too, and has Lambda's 900."""

_WORDS = {"create": "OnCreate", "update": "OnUpdate", "delete": "OnDelete"}


@dataclass(frozen=True, slots=True)
class ScriptNodes:
    """The resources of a script. `functions` are by `create`, `update` and `delete`."""

    functions: Mapping[str, lambda_.IFunction]
    resource: CustomResource


class Script(Construct):
    """Code that is run when a stage is created, updated or deleted: to fill a table, say.

        Script(stack, "Seed", on_create="functions/seed.fill", bind=[table], params={"rows": 3})

    Each of the three is a handler, a mapping of a `Function`'s arguments, a `Function`, or one of aws-cdk-lib, and is
    called with `{"type": "create", "params": {…}}`. `bind` is for those that say nothing else. `timeout` is in seconds,
    at most 840.

    It counts as an update when `params`, `version` or the code of `on_create` or `on_update` change; any other deploy
    leaves it alone. An error that it raises fails the deploy, with its message, and CloudFormation rolls back. It is
    run after what it is bound to is there, and before that is deleted; `depends_on` are other constructs that it needs.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        on_create: object = None,
        on_update: object = None,
        on_delete: object = None,
        bind: Iterable[object] = (),
        params: Mapping[str, Any] | None = None,
        version: str = "",
        timeout: float = TIMEOUT,
        depends_on: Iterable[Construct] = (),
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        where = self.node.path
        check_nodes(cdk, "resource", where=where)
        wanted = {"create": on_create, "update": on_update, "delete": on_delete}
        if not any(wanted.values()):
            raise ConstructError("The script is never run.", "Say on_create, on_update or on_delete.", where)
        if timeout > _LONGEST:
            raise ConstructError(f"A script cannot take {timeout:g} seconds.", f"At most {_LONGEST}.", where)
        functions = self._functions(wanted, {"bind": tuple(bind), "timeout": timeout})
        arns = [function.function_arn for function in functions.values()]
        provider = Provider(
            self,
            "Call",
            module="script",
            statements=[iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=arns)],
            seconds=round(timeout) + 60,
        )
        resource = CustomResource(
            self,
            "Run",
            **{
                "resource_type": "Custom::StagedoorScript",
                "service_token": provider.function.function_arn,
                "service_timeout": Duration.seconds(round(timeout) + 90),
                "properties": {
                    "Functions": {kind: function.function_arn for kind, function in functions.items()},
                    "Params": Stack.of(self).to_json_string(dict(params or {})),
                    "Version": version,
                    "Code": _code(functions.get("create"), functions.get("update")),
                },
                **keyed(cdk, "resource"),
            },
        )
        resource.node.add_dependency(provider, *functions.values(), *depends_on)
        for function in functions.values():
            ours = our_function(function)
            if ours is not None:
                resource.node.add_dependency(ours)
        self._nodes = ScriptNodes(functions, resource)

    @property
    def nodes(self) -> ScriptNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    def _functions(self, wanted: Mapping[str, object], defaults: Mapping[str, Any]) -> dict[str, lambda_.IFunction]:
        """Return the functions; one handler that is named twice is one function."""
        made: list[tuple[object, lambda_.IFunction]] = []
        functions = {}
        for kind, value in wanted.items():
            if value is None:
                continue
            function = next((function for other, function in made if other is value or other == value), None)
            if function is None:
                function = function_from(self, f"{self.node.id}{_WORDS[kind]}", value, **defaults)
                made.append((value, function))
            functions[kind] = function
        return functions


def _code(*functions: lambda_.IFunction | None) -> str:
    """Return what changes with the code of functions of ours."""
    ours = [our_function(function) for function in functions if function is not None]
    return hashlib.sha256("".join(each.code_digest for each in ours if each is not None).encode()).hexdigest()[:32]
