"""Which functions can be live, and why others cannot.

What a bridge needs of a function: a managed runtime that honours `AWS_LAMBDA_EXEC_WRAPPER`, room for a layer and for
variables, whole answers, and sandboxes that begin with a start.
Sources: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html (wrappers),
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html (layers, variables).
"""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from stagedoor.assembly.bridging.model import Bridges
from stagedoor.assembly.bridging.network import shut_in
from stagedoor.assembly.bridging.places import FUNCTION, Place, Places
from stagedoor.assembly.expressions import Scope, evaluate
from stagedoor.assembly.template import properties_of, section, strings_in

RUNTIMES = frozenset(
    {
        *(f"python3.{minor}" for minor in range(9, 15)),
        *(f"nodejs{major}.x" for major in (18, 20, 22, 24)),
    }
)
"""Those that a bridge was written and tried for."""

MADE_BY_MACRO = "AWS::Serverless::Function"
LAYERS = 5
VARIABLES_BYTES = 4096
_UNKNOWN_BYTES = 100
"""What a variable is taken for whose text only CloudFormation knows, such as a table's ARN."""

_FRAMEWORK_VARIABLES = ("USER_ON_EVENT_FUNCTION_ARN", "USER_IS_COMPLETE_FUNCTION_ARN", "USER_ON_TIMEOUT_FUNCTION_ARN")
"""Where CDK's framework for custom resources finds the app's functions
(aws-cdk-lib, `custom-resources/lib/provider-framework/runtime/consts.ts`)."""

_ANSWERING = {"Custom::StagedoorScript": ("ServiceToken", "Functions")}
"""Properties by which resources name functions that CloudFormation waits for; of all others it is `ServiceToken`."""


@dataclass(frozen=True)
class Around:
    """What the rest of a stage does with its functions."""

    places: Places

    @cached_property
    def answering_cloudformation(self) -> frozenset[Place]:
        """Functions of custom resources: a deploy waits for what they answer."""
        called = {
            place
            for at, resource in self.places.of_type()
            for name in _ANSWERING.get(resource.get("Type", ""), ("ServiceToken",))
            for place in self.places.functions_behind(properties_of(resource).get(name), at.where)
        }
        for place, resource in self.places.of_type(FUNCTION):
            variables = variables_of(resource)
            users = [variables[name] for name in _FRAMEWORK_VARIABLES if name in variables]
            if users:
                called |= {place, *self.places.functions_behind(users, place.where)}
        return frozenset(called)

    @cached_property
    def streaming(self) -> frozenset[Place]:
        """Functions whose answers go out while they are made: by their URL, or by a REST API."""
        found = set()
        for place, resource in self.places.of_type("AWS::Lambda::Url"):
            if properties_of(resource).get("InvokeMode") == "RESPONSE_STREAM":
                found |= {*self.places.functions_behind(properties_of(resource).get("TargetFunctionArn"), place.where)}
        for place, resource in self.places.of_type("AWS::ApiGateway::Method"):
            integration = properties_of(resource).get("Integration")
            if isinstance(integration, dict) and integration.get("ResponseTransferMode") == "STREAM":
                found |= {*self.places.functions_behind(integration.get("Uri"), place.where)}
        return frozenset(found)

    @cached_property
    def at_the_edge(self) -> frozenset[Place]:
        """Functions that CloudFront runs."""
        found = set()
        for place, resource in self.places.of_type("AWS::CloudFront::Distribution"):
            for associations in _values(resource, "LambdaFunctionAssociations"):
                found |= {*self.places.functions_behind(associations, place.where)}
        for place, resource in self.places.of_type(FUNCTION):
            role = self.places.follow(properties_of(resource).get("Role"), place.where)
            trust = properties_of(self.places.resource(role)).get("AssumeRolePolicyDocument") if role else None
            if any("edgelambda.amazonaws.com" in text for text in strings_in(trust)):
                found.add(place)
        return frozenset(found)


def why_deployed(place: Place, resource: dict[str, Any], around: Around, bridges: Bridges) -> str:
    """Return in a sentence why a function cannot be live; empty where it can."""
    properties, scope = properties_of(resource), around.places.scope(place.where)
    if place in around.at_the_edge:
        return "CloudFront runs it at the edge, where a function has neither layers nor variables."
    if place in around.answering_cloudformation:
        return "It answers CloudFormation (custom resource), and a deploy would wait for the developer."
    if place in around.streaming:
        return "It streams its answers, which are relayed whole."
    return _of_its_own(properties, scope) or (
        "" if bridges.emulator else _of_its_place(place, resource, around.places, bridges)
    )


def variables_of(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a function's environment variables; empty where there are none, or none that can be told."""
    return section(section(properties_of(resource), "Environment"), "Variables")


def _of_its_own(properties: dict[str, Any], scope: Scope) -> str:
    """Return what of the function itself is in the way of a bridge."""
    code, snap_start, environment = (section(properties, name) for name in ("Code", "SnapStart", "Environment"))
    variables = section(environment, "Variables")
    runtime = evaluate(properties.get("Runtime", ""), scope)
    named = runtime if isinstance(runtime, str) and runtime else "not told in the template"
    reasons = {
        "It is a container image, to which no layer can be added.": (
            properties.get("PackageType") == "Image" or "ImageUri" in code
        ),
        f"Its runtime is {named}; live are Python 3.9 to 3.14 and Node.js 18 to 24.": runtime not in RUNTIMES,
        "It has SnapStart: its sandboxes begin from a snapshot, in which a bridge would be asleep.": (
            snap_start.get("ApplyOn", "None") != "None"
        ),
        "It is durable: what it did is kept in AWS and replayed there.": bool(properties.get("DurableConfig")),
        "It runs on managed instances, where a sandbox answers several events at once.": bool(
            properties.get("CapacityProviderConfig")
        ),
        "Its environment variables are made by an expression, to which none can be added.": any(
            key.startswith("Fn::") for key in (*environment, *variables)
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _of_its_place(place: Place, resource: dict[str, Any], places: Places, bridges: Bridges) -> str:
    """Return what in AWS is in the way of a bridge."""
    properties = properties_of(resource)
    if "CodeSigningConfigArn" in properties:
        return "Its code must be signed, and the bridge's layer is not."
    layers = properties.get("Layers", [])
    if not isinstance(layers, list):
        return "Its layers are made by an expression, to which none can be added."
    if len(layers) >= LAYERS:
        return f"It has {len(layers)} layers already, and the bridge is one more; Lambda allows {LAYERS}."
    ours = bridges.variables(properties.get("Timeout", 0), variables_of(resource).get("AWS_LAMBDA_EXEC_WRAPPER"))
    scope = places.scope(place.where)
    size = sum(
        len(json.dumps(name)) + _length(value, scope) for name, value in {**variables_of(resource), **ours}.items()
    )
    if size > VARIABLES_BYTES:
        return f"Its environment variables would take some {size} bytes with the bridge's; Lambda allows 4 KB."
    if subnet := shut_in(places, place):
        return f"Its subnet {subnet} has no way out to the relay: no route to a NAT gateway or the like."
    return ""


def _length(value: Any, scope: Scope) -> int:
    text = evaluate(value, scope)
    return len(text.encode()) if isinstance(text, str) else _UNKNOWN_BYTES


def _values(value: Any, key: str) -> list[Any]:
    """Return what stands under a key, at any depth."""
    if isinstance(value, list):
        return [found for item in value for found in _values(item, key)]
    if not isinstance(value, dict):
        return []
    here = [value[key]] if key in value else []
    return here + [found for item in value.values() for found in _values(item, key)]
