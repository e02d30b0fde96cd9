"""GitHub's own schema of webhook payloads, from the description of its API (`@octokit/openapi`, `x-webhooks`)."""

import functools
import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

DESCRIPTION = Path(__file__).resolve().parents[2] / "node/node_modules/@octokit/openapi/generated/api.github.com.json"


@functools.cache
def _description() -> dict[str, Any]:
    return dict(json.loads(DESCRIPTION.read_text()))


def violations(event: str, action: str | None, payload: dict[str, Any]) -> list[str]:
    """Return what GitHub's schema objects to in a payload."""
    name = "-".join(part.replace("_", "-") for part in (event, action) if part)
    webhook = _description()["x-webhooks"][name]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = _as_json_schema(webhook)
    components: dict[str, Any] = {}
    waiting = [webhook]
    while waiting:
        for kind in _references(waiting.pop()):
            if kind not in components:
                components[kind] = _as_json_schema(_description()["components"]["schemas"][kind])
                waiting.append(_description()["components"]["schemas"][kind])
    validator = Draft202012Validator({**schema, "components": {"schemas": components}})
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(payload)]


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*(_references(each) for each in value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
    return own.union(*(_references(each) for each in value.values()))


def _as_json_schema(value: Any) -> Any:
    """Turn OpenAPI 3.0's `nullable` into JSON Schema."""
    if isinstance(value, list):
        return [_as_json_schema(each) for each in value]
    if not isinstance(value, dict):
        return value
    plain = {key: _as_json_schema(each) for key, each in value.items() if key != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if value.get("nullable") is True else plain
