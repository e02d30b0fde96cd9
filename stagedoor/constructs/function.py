"""A Lambda function: a handler's source or a container, with a role that may do what is its own and what is bound."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from stagedoor.constructs.bind_code import bind as bind_to
from stagedoor.constructs.binding import Binding
from stagedoor.constructs.defaults import defaults_of
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.execution_role import allow_vpc, execution
from stagedoor.constructs.function_code import SOURCE_METADATA, handler_code, image_code
from stagedoor.constructs.function_failures import invocation_arguments
from stagedoor.constructs.function_url import url_arguments
from stagedoor.constructs.grants.function import function_binding
from stagedoor.constructs.words import check_nodes, check_words, keyed

ARCHITECTURES = {"x86_64": lambda_.Architecture.X86_64, "arm64": lambda_.Architecture.ARM_64}


@dataclass(frozen=True, slots=True)
class FunctionNodes:
    """The resources of a function. `url` and `alias` (of provisioned concurrency) are None where there are none."""

    function: lambda_.Function
    role: iam.Role
    log_group: logs.LogGroup
    url: lambda_.FunctionUrl | None = None
    alias: lambda_.Alias | None = None


class Function(Construct):
    """A Lambda function.

        Function(stack, "Greet", "functions/greet.handle", bind=[table], url=True)

    The handler is a function of a file below the app's folder, in Python, TypeScript or JavaScript. In its place
    `image` may name a folder with a Dockerfile. `runtime` is Lambda's name of it; `bundle` says how the code is put
    together: `{"boto3": True}` for Python, `{"minify": True, "install": ["sharp"]}` for Node (`bundling/options.py`).
    `memory` is in MiB, `timeout` in seconds; what is not said is as in the app's defaults.

    `url=True`, or `{"auth": "iam", "cors": True}`, gives it a URL of its own; `streaming` lets that stream responses
    (Node and containers). `layers` are ARNs or aws-cdk-lib's layers. `concurrency` is reserved, `provisioned` kept
    warm. `tracing` is X-Ray's. `permissions` are policy statements beyond what is bound.

    Invoked asynchronously it is retried `retries` times (0 to 2), and what has failed goes to `on_failure`: a queue, a
    topic or a function, ours or aws-cdk-lib's. Its logs are kept for `log_days`, and go with it in stages that are not
    to last.

    A VPC is given by `cdk={"function": {"vpc": vpc}}`. In stages that are neither to last nor previews the role may
    be assumed by whoever the account allows to (`stagedoor shell --function`).
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        handler: str | None = None,
        *,
        image: str | None = None,
        bind: Iterable[object] = (),
        environment: Mapping[str, str] | None = None,
        runtime: str | None = None,
        bundle: Mapping[str, Any] | None = None,
        architecture: str | None = None,
        memory: int | None = None,
        timeout: float | None = None,
        url: bool | Mapping[str, Any] = False,
        streaming: bool = False,
        layers: Sequence[str | lambda_.ILayerVersion] = (),
        concurrency: int | None = None,
        provisioned: int | None = None,
        tracing: bool = False,
        retries: int | None = None,
        on_failure: object = None,
        permissions: Sequence[iam.PolicyStatement] = (),
        log_days: int | None = None,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        where = self.node.path
        check_nodes(cdk, "function", "role", "log_group", "url", "alias", where=where)
        defaults = defaults_of(self)
        architecture = architecture or defaults.architecture
        if architecture not in ARCHITECTURES:
            raise ConstructError(f"There is no architecture {architecture!r}.", "It is 'x86_64' or 'arm64'.", where)
        if image is None and handler is not None:
            self._code = handler_code(self, handler, runtime=runtime, architecture=architecture, bundle=bundle)
        elif image is not None and not (handler or runtime or bundle):
            self._code = image_code(self, image, architecture=architecture)
        else:
            raise ConstructError(
                "A function is made of a handler, or of an image that says its own.",
                "Write either 'functions/notes.list', or image='folder' without handler, runtime and bundle.",
                where,
            )
        self._execution = execution(self, days=log_days, assumable=True, cdk=cdk)
        failures = invocation_arguments(self, retries, on_failure)
        said = {
            "runtime": self._code.runtime,
            "handler": self._code.handler,
            "code": self._code.code,
            "architecture": ARCHITECTURES[architecture],
            "memory_size": memory or defaults.memory,
            "timeout": Duration.millis(round((timeout or defaults.timeout) * 1000)),
            "environment": {**defaults.environment, **(environment or {})},
            "layers": [self._layer(number, layer) for number, layer in enumerate(layers)] or None,
            "reserved_concurrent_executions": concurrency,
            "tracing": lambda_.Tracing.ACTIVE if tracing else None,
            "role": self._execution.role,
            "log_group": self._execution.log_group,
            **({} if provisioned else failures),
            **keyed(cdk, "function"),
        }
        if said.get("vpc") is not None:
            allow_vpc(self._execution.role)
        function = lambda_.Function(self, "Function", **said)
        if self._code.source is not None:
            cast(lambda_.CfnFunction, function.node.default_child).add_metadata(SOURCE_METADATA, self._code.source)
        for each in permissions:
            function.add_to_role_policy(each)
        alias = self._kept_warm(function, provisioned, {**failures, **keyed(cdk, "alias")}) if provisioned else None
        called_by = self._url(alias or function, url, streaming, keyed(cdk, "url"))
        self._nodes = FunctionNodes(function, self._execution.role, self._execution.log_group, called_by, alias)
        self.bind(*bind)  # told of when something is bound to it: a stack has at most 200 outputs

    @property
    def nodes(self) -> FunctionNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    @property
    def runs_code(self) -> lambda_.Function:
        """What is bound to resources."""
        return self._nodes.function

    @property
    def invoked(self) -> lambda_.IFunction:
        """What is to be called: the function, or the alias that has its provisioned concurrency."""
        return self._nodes.alias or self._nodes.function

    @property
    def url(self) -> str:
        """Its own URL. Raises `ConstructError` where it has none."""
        if self._nodes.url is None:
            raise ConstructError("It has no URL.", "Give it one: url=True.", self.node.path)
        return self._nodes.url.url

    @property
    def code_digest(self) -> str:
        """What tells two versions of its code apart."""
        return self._code.digest

    def bind(self, *resources: object) -> None:
        """Let it use more resources."""
        bind_to(self, *resources)

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it: to call it, by name or by its URL."""
        return replace(function_binding(self.invoked, self.node.id, self._nodes.url), owner=self)

    def _layer(self, number: int, layer: str | lambda_.ILayerVersion) -> lambda_.ILayerVersion:
        if isinstance(layer, str):
            return lambda_.LayerVersion.from_layer_version_arn(self, f"Layer{number}", layer)
        return layer

    def _kept_warm(self, function: lambda_.Function, instances: int, said: Mapping[str, Any]) -> lambda_.Alias:
        return lambda_.Alias(
            self,
            "Alias",
            **{
                "alias_name": "live",
                "version": function.current_version,
                "provisioned_concurrent_executions": instances,
                **said,
            },
        )

    def _url(
        self,
        function: lambda_.Function | lambda_.Alias,
        url: bool | Mapping[str, Any],
        streaming: bool,
        said: Mapping[str, Any],
    ) -> lambda_.FunctionUrl | None:
        if url:
            arguments = url_arguments(url, self._code, streaming=streaming, where=self.node.path)
            return function.add_function_url(**{**arguments, **said})
        if streaming:
            raise ConstructError("It is by its URL that a function streams.", "Add url=True.", self.node.path)
        return None


def function_from(scope: Construct, construct_id: str, value: object, **defaults: Any) -> lambda_.IFunction:
    """Return the function that a user names where one is wanted.

    `value` is a handler (`"functions/notes.list"`), the arguments of a `Function` (`{"handler": …, "bind": […]}`), a
    `Function`, or a function of aws-cdk-lib. For the first two one is made in `scope`, with `defaults` for what the
    arguments do not say. `our_function` returns our own of what comes out. Raises `ConstructError` for anything else.
    """
    if isinstance(value, Function):
        return value.invoked
    if isinstance(value, str):
        value = {"handler": value}
    if isinstance(value, Mapping):
        check_words(value, _ARGUMENTS, "A function", f"{scope.node.path}/{construct_id}")
        return Function(scope, construct_id, **{**defaults, **value}).invoked
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
