"""An HTTP API: routes, and what answers them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aws_cdk import ArnFormat, Duration, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct

from stagedoor.constructs.api_authorizers import Authorizers
from stagedoor.constructs.api_routes import METHODS, Integrations, Route, route_of
from stagedoor.constructs.binding import Binding, statement, tell
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.execution_role import log_group_of
from stagedoor.constructs.words import check_nodes, check_words, keyed

LOGGED = {
    "time": "$context.requestTime",
    "request": "$context.requestId",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "route": "$context.routeKey",
    "status": "$context.status",
    "ms": "$context.responseLatency",
    "integration_error": "$context.integrationErrorMessage",
    "authorizer_error": "$context.authorizer.error",
    "ip": "$context.identity.sourceIp",
    "agent": "$context.identity.userAgent",
}
"""What a line of the access log holds
(https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html)."""


_PARAMETER = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class ApiNodes:
    """The resources of an API. `log_group` and `domain` are None where there are none."""

    api: apigateway.HttpApi
    stage: apigateway.HttpStage
    routes: Mapping[str, apigateway.HttpRoute]
    log_group: logs.LogGroup | None = None
    domain: apigateway.DomainName | None = None


class Api(Construct):
    """An HTTP API.

        Api(stack, "Web", routes={"GET /notes": "functions/notes.list", "POST /notes": "functions/notes.add"})

    A route is a method (or `ANY`) and a path, in which `{id}` is one part and `{rest+}` all that follows; `$default`
    takes what no other does. What answers it is a handler, a mapping of a `Function`'s arguments, a `Function`, a URL
    to pass the request on to, or a queue that takes its body as a message. A mapping may also have an `authorizer` and
    its `scopes`, and any of the others as its `handler`: `{"handler": queue, "authorizer": "iam"}`. What answers
    several routes is made once. `bind` is for the functions that routes name by a handler, unless their mapping has its
    own.

    `authorizers` are by name: `{"users": {"issuer": "https://…", "audience": ["…"]}}` for JSON Web Tokens,
    `{"user_pool": pool, "clients": [client]}` for Cognito's, `{"handler": "functions/auth.check"}` for a function that
    answers `{"isAuthorized": True}`; every API has `iam` and `none`. `default_authorizer` is for routes that name none.

    `cors=True` opens it to every origin, or say `{"origins": […], "methods": […], "headers": […]}`. `throttle` is
    `{"rate": 100, "burst": 200}`, in requests a second. `access_log=False` turns its log off. `domain` is `{"name":
    "api.example.com", "zone": "example.com"}`; see `domain.py`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        routes: Mapping[str, object],
        bind: Sequence[object] = (),
        cors: bool | Mapping[str, Any] = False,
        authorizers: Mapping[str, Any] | None = None,
        default_authorizer: str | None = None,
        throttle: Mapping[str, float] | None = None,
        access_log: bool = True,
        log_days: int | None = None,
        domain: Mapping[str, Any] | None = None,
        cdk: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        where = self.node.path
        check_nodes(cdk, "api", "stage", "log_group", "domain", where=where)
        api = apigateway.HttpApi(
            self,
            "Api",
            **{
                "api_name": construct_id,
                "create_default_stage": False,
                "cors_preflight": _cors(cors, where),
                **keyed(cdk, "api"),
            },
        )
        log_group = log_group_of(self, "AccessLog", log_days, keyed(cdk, "log_group")) if access_log else None
        name = _Named(self, domain, keyed(cdk, "domain")) if domain else None
        stage = apigateway.HttpStage(
            self,
            "Stage",
            **{
                "http_api": api,
                "auto_deploy": True,
                "throttle": _throttle(throttle, where),
                "domain_mapping": apigateway.DomainMappingOptions(domain_name=name.node) if name else None,
                **keyed(cdk, "stage"),
            },
        )
        if log_group is not None:
            _write_log(stage, log_group)
        self._api = api
        self._authorizers = Authorizers(self, authorizers or {}, default_authorizer)
        self._integrations = Integrations(self, bind)
        self._url = f"https://{name.name}" if name else api.api_endpoint
        self._signed: list[Route] = []
        made = {key: self._add(route_of(key, value, where)) for key, value in routes.items()}
        self._nodes = ApiNodes(api, stage, made, log_group, name.node if name else None)
        tell(self.binding)

    @property
    def nodes(self) -> ApiNodes:
        """aws-cdk-lib's own constructs."""
        return self._nodes

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end; under its own domain where it has one."""
        return self._url

    @property
    def binding(self) -> Binding:
        """What code gets that is bound to it: its URL, and to call the routes whose requests are to be signed."""
        arns = [
            self._api.arn_for_execute_api(route.key.method or None, _PARAMETER.sub("*", route.key.path) or None)
            for route in self._signed
        ]
        invoke = (statement("execute-api:Invoke", *arns),) if arns else ()
        return Binding("Api", self.node.id, self, {"url": self._url}, {"invoke": invoke}, ("invoke",))

    def _add(self, route: Route) -> apigateway.HttpRoute:
        authorizer = self._authorizers.named(route.authorizer)
        if self._authorizers.is_iam(route.authorizer):
            self._signed.append(route)
        if route.scopes and authorizer is None:
            raise ConstructError(
                f"The route {route.key.construct_id!r} has scopes and no authorizer.",
                "Name one: 'authorizer': '…'.",
                self.node.path,
            )
        return apigateway.HttpRoute(
            self,
            route.key.construct_id,
            http_api=self._api,
            route_key=route.key.cdk,
            integration=self._integrations.of(route),
            authorizer=authorizer,
            authorization_scopes=list(route.scopes) or None,
        )


class _Named:
    """An API's own domain, and its records."""

    def __init__(self, scope: Construct, said: Mapping[str, Any], cdk: Mapping[str, Any]) -> None:
        from aws_cdk import aws_route53_targets as targets

        from stagedoor.constructs.domain import domain_from, point_at

        domain = domain_from(scope, said, edge=False)
        self.name = domain.name
        self.node = apigateway.DomainName(
            scope, "Domain", **{"domain_name": domain.name, "certificate": domain.certificate, **cdk}
        )
        point_at(
            scope,
            domain,
            targets.ApiGatewayv2DomainProperties(self.node.regional_domain_name, self.node.regional_hosted_zone_id),
        )


def _cors(said: bool | Mapping[str, Any], where: str) -> apigateway.CorsPreflightOptions | None:
    if not said:
        return None
    words = {} if isinstance(said, bool) else dict(said)
    check_words(words, ("origins", "methods", "headers", "expose", "credentials", "max_age"), "`cors`", where)
    methods = [name.upper() for name in words.get("methods", ["*"])]
    unknown = [name for name in methods if name not in (*METHODS, "*")]
    if unknown:
        raise ConstructError(f"There is no HTTP method {', '.join(unknown)}.", f"Write {', '.join(METHODS)}.", where)
    return apigateway.CorsPreflightOptions(
        allow_origins=words.get("origins", ["*"]),
        allow_methods=[apigateway.CorsHttpMethod["ANY" if name == "*" else name] for name in methods],
        allow_headers=words.get("headers", ["*"]),
        expose_headers=words.get("expose"),
        allow_credentials=words.get("credentials"),
        max_age=Duration.seconds(words["max_age"]) if "max_age" in words else None,
    )


def _throttle(said: Mapping[str, float] | None, where: str) -> apigateway.ThrottleSettings | None:
    if said is None:
        return None
    check_words(said, ("rate", "burst"), "`throttle`", where)
    burst = said.get("burst")
    return apigateway.ThrottleSettings(rate_limit=said.get("rate"), burst_limit=int(burst) if burst else None)


def _write_log(stage: apigateway.HttpStage, log_group: logs.LogGroup) -> None:
    """Let a stage write a line a request. API Gateway itself gets leave to write, from whoever deploys
    (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html).
    """
    plain = Stack.of(stage).format_arn(
        service="logs",
        resource="log-group",
        resource_name=log_group.log_group_name,
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    cast(
        apigateway.CfnStage, stage.node.default_child
    ).access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
        destination_arn=plain, format=json.dumps(LOGGED)
    )
