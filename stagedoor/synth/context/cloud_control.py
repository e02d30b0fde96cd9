"""Properties of any resource that Cloud Control can read, by its identifier or by what its properties are.

Source: `context-providers/cc-api-provider.ts` of `toolkit-lib` in https://github.com/aws/aws-cdk-cli (2026-08).
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from stagedoor.synth.context.providers import CORRECT, ClientOf, LookupFailed, NothingFound, SecretLookup
from stagedoor.synth.context.query import Query

SECRET_TYPES = frozenset(
    {"AWS::SecretsManager::Secret", "AWS::SSM::Parameter", "AWS::IAM::AccessKey", "AWS::Lambda::Function"}
)
"""Types whose readable properties are, or often hold, secrets: a function's environment does."""

MOST = 10_000
"""Resources of one type that are looked through; more would be hundreds of calls for one question."""


def cloud_control(client: ClientOf, query: Query) -> list[dict[str, Any]]:
    """Return the wanted properties of each resource that fits."""
    type_name = query.text("typeName")
    if type_name in SECRET_TYPES:
        raise SecretLookup(
            f"The app looks up a resource of the type {type_name}, whose properties may hold secrets.",
            "Refer to the resource by its ARN, or put what is needed into cdk.context.json.",
        )
    identifier, wanted = query.optional_text("exactIdentifier"), query.table("propertyMatch")
    if (identifier is None) == (not wanted):
        raise query.invalid("either exactIdentifier or propertyMatch is needed")
    api = client("cloudcontrol")
    found = _fitting(api, query, type_name, wanted) if identifier is None else [_one(api, type_name, identifier)]
    return [_result(name, properties, query.texts("propertiesToReturn")) for name, properties in found]


def _one(api: Any, type_name: str, identifier: str) -> tuple[str, dict[str, Any]]:
    try:
        return _described(api.get_resource(TypeName=type_name, Identifier=identifier)["ResourceDescription"])
    except api.exceptions.ResourceNotFoundException:
        raise NothingFound(f"There is no {type_name} {identifier!a} in the target.", CORRECT) from None


def _fitting(api: Any, query: Query, type_name: str, wanted: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the resources whose properties are as wanted, as many as are expected."""
    expected = query.optional_text("expectedMatchCount") or "any"
    found = [
        (identifier, properties)
        for identifier, properties in _all(api, query, type_name)
        if all(_at(properties, path) == value for path, value in wanted.items())
    ]
    what = f"{type_name} with {json.dumps(wanted)[:300]}"
    if not found and expected in {"exactly-one", "at-least-one"}:
        raise NothingFound(f"There is no {what} in the target.", CORRECT)
    if len(found) > 1 and expected in {"exactly-one", "at-most-one"}:
        raise LookupFailed(f"There are {len(found)} of {what} in the target.", "Look it up more narrowly.")
    return found


def _all(api: Any, query: Query, type_name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    model = query.table("resourceModel")
    more: dict[str, Any] = {"ResourceModel": json.dumps(model)} if model else {}
    seen = 0
    while True:
        answer = api.list_resources(TypeName=type_name, MaxResults=100, **more)
        for description in answer.get("ResourceDescriptions", []):
            seen += 1
            yield _described(description)
        if "NextToken" not in answer:
            return
        if seen >= MOST:
            raise LookupFailed(f"The target has more than {MOST} of {type_name}.", "Look it up by its identifier.")
        more["NextToken"] = answer["NextToken"]


def _described(description: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    properties = json.loads(description.get("Properties") or "{}")
    return description.get("Identifier", ""), properties if isinstance(properties, dict) else {}


def _result(identifier: str, properties: Mapping[str, Any], wanted: list[str]) -> dict[str, Any]:
    found = {path: _at(properties, path) for path in wanted}
    for path, value in found.items():
        if value is None:
            raise LookupFailed(f"{identifier!a}, which the app looks up, has no property {path!a}.", CORRECT)
    return {**found, "Identifier": identifier}


def _at(properties: Any, path: str) -> Any:
    """Return the value at a path such as `Endpoint.Port` or `Subnets.0`; None where there is none."""
    for part in path.split("."):
        if isinstance(properties, Mapping):
            properties = properties.get(part)
        elif isinstance(properties, list) and part.isdigit() and int(part) < len(properties):
            properties = properties[int(part)]
        else:
            return None
    return properties
