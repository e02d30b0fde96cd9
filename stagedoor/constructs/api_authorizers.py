"""Who may ask an API: its authorizers, by name."""

from collections.abc import Mapping
from typing import Any, cast

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from constructs import Construct

from stagedoor.constructs.cdk_types import is_a
from stagedoor.constructs.errors import ConstructError
from stagedoor.constructs.function import function_from
from stagedoor.constructs.words import check_words

IAM, NONE = "iam", "none"
"""Authorizers that every API has: signed requests, and nobody asked."""


class Authorizers:
    """An API's authorizers, made as a user says them.

    A mapping with `issuer` and `audience` reads JSON Web Tokens; one with `user_pool` and `clients` those of
    Cognito; one with `handler` asks a function, which answers `{"isAuthorized": …}`
    (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html).
    """

    def __init__(self, scope: Construct, said: Mapping[str, Any], default: str | None) -> None:
        self._scope = scope
        self._default = default
        self._made: dict[str, apigateway.IHttpRouteAuthorizer | None] = {
            NONE: None,
            IAM: cast(apigateway.IHttpRouteAuthorizer, authorizers.HttpIamAuthorizer()),
        }
        for name, each in said.items():
            if name in self._made:
                raise ConstructError(f"Every API has the authorizer {name!r}.", "Give yours another name.", self._where)
            self._made[name] = self._make(name, each)
        if default is not None:
            self.named(default)

    def named(self, name: str | None) -> apigateway.IHttpRouteAuthorizer | None:
        """Return the authorizer of a name; of None, the default one. Raises `ConstructError`."""
        name = name or self._default or NONE
        if name not in self._made:
            raise ConstructError(
                f"There is no authorizer {name!r}.",
                f"There are: {', '.join(self._made)}; say more with authorizers={{…}}.",
                self._where,
            )
        return self._made[name]

    def is_iam(self, name: str | None) -> bool:
        """Whether requests are to be signed."""
        return (name or self._default) == IAM

    @property
    def _where(self) -> str:
        return self._scope.node.path

    def _make(self, name: str, said: object) -> apigateway.IHttpRouteAuthorizer:
        if is_a(said, "aws_apigatewayv2", "IHttpRouteAuthorizer"):
            return cast(apigateway.IHttpRouteAuthorizer, said)
        kinds = {"issuer": self._jwt, "user_pool": self._cognito, "handler": self._function}
        for word, make in kinds.items():
            if isinstance(said, Mapping) and word in said:
                return cast(apigateway.IHttpRouteAuthorizer, make(name, said))
        raise ConstructError(
            f"The authorizer {name!r} says nothing that could authorize.",
            "Write {'issuer': …, 'audience': […]}, {'user_pool': …, 'clients': […]} or {'handler': …}.",
            self._where,
        )

    def _jwt(self, name: str, said: Mapping[str, Any]) -> authorizers.HttpJwtAuthorizer:
        check_words(said, ("issuer", "audience", "from"), f"The authorizer {name!r}", self._where)
        if not said.get("audience"):
            raise ConstructError(
                f"The authorizer {name!r} has no audience.", "Name whom tokens are for: 'audience': ['…'].", self._where
            )
        return authorizers.HttpJwtAuthorizer(
            name, said["issuer"], jwt_audience=_listed(said["audience"]), identity_source=_sources(said)
        )

    def _cognito(self, name: str, said: Mapping[str, Any]) -> authorizers.HttpUserPoolAuthorizer:
        check_words(said, ("user_pool", "clients", "from"), f"The authorizer {name!r}", self._where)
        return authorizers.HttpUserPoolAuthorizer(
            name, said["user_pool"], user_pool_clients=said.get("clients"), identity_source=_sources(said)
        )

    def _function(self, name: str, said: Mapping[str, Any]) -> authorizers.HttpLambdaAuthorizer:
        ours = {"from", "ttl"}
        function = function_from(
            self._scope,
            f"{self._scope.node.id}{name.title()}Authorizer",
            {word: each for word, each in said.items() if word not in ours},
        )
        # What it answers may depend on the route, so it is asked each time unless somebody says for how long it holds.
        return authorizers.HttpLambdaAuthorizer(
            name,
            function,
            response_types=[authorizers.HttpLambdaResponseType.SIMPLE],
            identity_source=_sources(said),
            results_cache_ttl=Duration.seconds(said.get("ttl", 0)),
        )


def _sources(said: Mapping[str, Any]) -> list[str] | None:
    """Return where in a request the token is: API Gateway's own words; the header Authorization when nobody says."""
    return _listed(said["from"]) if "from" in said else None


def _listed(said: str | list[str]) -> list[str]:
    return [said] if isinstance(said, str) else list(said)
