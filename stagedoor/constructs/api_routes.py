"""The routes of an API: their keys, and what answers them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_integrations as integrations
from constructs import Construct

from stagedoor.constructs.cdk_types import is_a
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.function import function_from

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY")
_PART = re.compile(r"\{[\w.-]+\+?\}|[^{}\s/]*")


@dataclass(frozen=True, slots=True)
class RouteKey:
    """A route's key: `GET /notes/{id}`. A `$default`, which takes what no other route does, has neither part."""

    method: str
    path: str

    @property
    def cdk(self) -> apigateway.HttpRouteKey:
        """As aws-cdk-lib has it."""
        if not self.path:
            return apigateway.HttpRouteKey.DEFAULT
        return apigateway.HttpRouteKey.with_(self.path, apigateway.HttpMethod[self.method])

    @property
    def construct_id(self) -> str:
        """The id of what is made for this route alone."""
        return f"{self.method} {self.path}".replace("/", "_") if self.path else "default"


@dataclass(frozen=True, slots=True)
class Route:
    """What a user says of a route: what answers it, and who may ask. `authorizer` None leaves the API's default."""

    key: RouteKey
    target: object
    authorizer: str | None
    scopes: tuple[str, ...]


def route_of(key: str, value: object, where: str) -> Route:
    """Return a route as a user writes it. Raises `ConstructError`."""
    parsed = route_key(key, where)
    if not isinstance(value, Mapping):
        return Route(parsed, value, None, ())
    rest = {name: said for name, said in value.items() if name not in ("authorizer", "scopes")}
    if "handler" not in rest and "image" not in rest:
        raise ConstructError(
            f"The route {key!r} has nothing that answers it.",
            "Write {'handler': …}: a handler, a Function, a URL or a queue.",
            where,
        )
    scopes = value.get("scopes", ())
    target = rest["handler"] if set(rest) == {"handler"} else rest
    return Route(parsed, target, value.get("authorizer"), (scopes,) if isinstance(scopes, str) else tuple(scopes))


def route_key(key: str, where: str) -> RouteKey:
    """Read a route's key. Raises `ConstructError` for one that API Gateway would refuse.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
    """
    if key == "$default":
        return RouteKey("", "")
    method, _, path = key.partition(" ")
    if method not in METHODS:
        raise ConstructError(
            f"The route {key!r} does not begin with a method.",
            f"Write it as 'GET /notes', with one of {', '.join(METHODS)}; '$default' takes all that is left.",
            where,
        )
    parts = path[1:].split("/")
    if not path.startswith("/") or not all(_PART.fullmatch(part) for part in parts):
        raise ConstructError(
            f"The path of the route {key!r} is none.",
            "It begins with a slash, and a part of it may be a name in braces: 'GET /notes/{id}'.",
            where,
        )
    if any(part.endswith("+}") for part in parts[:-1]):
        raise ConstructError(
            f"In the route {key!r} something follows a part that takes all of the rest.",
            "Only the last part may end with '+}'.",
            where,
        )
    return RouteKey(method, path)


class Integrations:
    """What answers routes. What answers several is made once; functions that name no `bind` get this one."""

    def __init__(self, scope: Construct, bind: Sequence[object] = ()) -> None:
        self._scope = scope
        self._bind = tuple(bind)
        self._made: list[tuple[object, apigateway.HttpRouteIntegration]] = []

    def of(self, route: Route) -> apigateway.HttpRouteIntegration:
        """Return what answers a route. Raises `ConstructError` for what cannot."""
        for target, integration in self._made:
            if target is route.target or (isinstance(target, (str, dict)) and target == route.target):
                return integration
        integration = self._make(route)
        self._made.append((route.target, integration))
        return integration

    def _make(self, route: Route) -> apigateway.HttpRouteIntegration:
        target = route.target
        if isinstance(target, apigateway.HttpRouteIntegration):
            return target
        if isinstance(target, str) and target.startswith(("http://", "https://")):
            return integrations.HttpUrlIntegration(f"{route.key.construct_id} Url", target)
        queue: Any = getattr(getattr(target, "nodes", None), "queue", target)
        if is_a(queue, "aws_sqs", "IQueue"):
            # The body of the request is the message; the role that is made may send to this queue.
            message = apigateway.ParameterMapping().custom("QueueUrl", queue.queue_url)
            return integrations.HttpSqsIntegration(
                f"{route.key.construct_id} Queue",
                queue=queue,
                parameter_mapping=message.custom("MessageBody", "$request.body"),
                subtype=apigateway.HttpIntegrationSubtype.SQS_SEND_MESSAGE,
            )
        function = function_from(self._scope, self._function_id(target, route), target, bind=self._bind)
        return integrations.HttpLambdaIntegration(f"{function.node.path.replace('/', '-')}", function)

    def _function_id(self, target: object, route: Route) -> str:
        """Return the id of a function: of its handler's words, so that another order of routes makes no other one."""
        said: Any = target.get("handler") or target.get("image") if isinstance(target, Mapping) else target
        words = re.findall(r"[A-Za-z0-9]+", said) if isinstance(said, str) else []
        name = self._scope.node.id + "".join(word[:1].upper() + word[1:] for word in words)
        if self._scope.node.try_find_child(name) is None:
            return name
        return name + "".join(re.findall(r"[A-Za-z0-9]+", route.key.construct_id.title()))
