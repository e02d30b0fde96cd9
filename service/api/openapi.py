"""The OpenAPI 3.1 document, made of the operations' own signatures, models and docstrings.

Source of the rules: https://spec.openapis.org/oas/v3.1.1.html. JSON Schema is what pydantic writes (draft 2020-12,
as OpenAPI 3.1 has it); all that is added here is where each model stands. Ours instead of APIFlask's: streams and
uploads are answered by asyncio and not by Flask, so a Flask extension would describe half of the API, and would bring
marshmallow and seven more distributions to put beside pydantic.
"""

import inspect
import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service.api.answers import ProblemAnswer
from service.api.operation import BASE, LARGEST_ID, Media, Operation
from service.api.problems import PROBLEM, BodyTooLarge, InvalidRequest, NotJson, WrongMediaType, status_of_kind
from stagedoor.errors import UserError

VERSION = "1.0.0"
_REFERENCE = "#/components/schemas/{model}"
_STATUS_WORDS = {200: "Done", 201: "Made", 202: "Taken in", 204: "Done, with nothing to say"}
_LEAST = "Reads what was asked for, or says in the same words as the command line what stands in the way."
_DESCRIPTION = f"""\
What the GitHub Action, the command line and the console ask of a Stagedoor service. {_LEAST}
docs/api.md says how to log in, how streams are resumed, and what a version promises."""
_TAGS = {
    "login": "Who asks: people, and jobs of GitHub Actions",
    "stages": "Stages, and what is wanted of them",
    "runs": "What was done to bring a stage to what is wanted",
    "plans": "What a deploy would do to a stage, without one",
    "assemblies": "Cloud assemblies, from elsewhere than the service's own synth",
    "live": "What `stagedoor dev` needs",
    "operators": "Tokens for machines, and the record of who did what",
    "about": "The API itself",
}
_SHARED = "Problem"


def openapi_document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document. It says nothing of where the service is, so that it can be checked in."""
    operations = list(operations)
    schemas, definitions = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in sorted(operations, key=lambda one: (one.path, one.method)):
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Stagedoor", "version": VERSION, "description": _DESCRIPTION},
        "servers": [{"url": BASE}],
        "security": [{"token": []}],
        "tags": [{"name": name, "description": words} for name, words in _TAGS.items()],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Of a login, of a job of GitHub Actions (POST /actions/token), or a machine's",
                }
            },
            "schemas": definitions,
        },
    }


def openapi_text(operations: Iterable[Operation]) -> str:
    """Return the document as it is checked in."""
    return json.dumps(openapi_document(operations), indent=1, ensure_ascii=False) + "\n"


def _schemas(operations: list[Operation]) -> tuple[dict[tuple[type[BaseModel], str], Any], dict[str, Any]]:
    """Return a schema for each model that comes in or goes out, and the definitions that these refer to."""
    models: dict[tuple[type[BaseModel], str], None] = {(ProblemAnswer, "serialization"): None}
    for each in operations:
        going = (model for model in each.answers.values() if isinstance(model, type))
        coming = (model for model in (each.query, each.body) if isinstance(model, type))
        models |= dict.fromkeys((model, "serialization") for model in going)
        models |= dict.fromkeys((model, "validation") for model in coming)
    _, definitions = models_json_schema(list(models), ref_template=_REFERENCE)  # type: ignore[arg-type]
    queries = {each.query.__name__ for each in operations if each.query is not None}
    kept = {name: _plain(schema) for name, schema in definitions["$defs"].items() if name not in queries}
    return {model: definitions["$defs"][model[0].__name__] for model in models}, dict(sorted(kept.items()))


def _operation(operation: Operation, schemas: dict[tuple[type[BaseModel], str], Any]) -> dict[str, Any]:
    summary, _, rest = inspect.cleandoc(operation.view.__doc__ or "").partition("\n\n")
    said: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": " ".join(summary.split()).rstrip("."),
    }
    if rest:
        said["description"] = " ".join(rest.split())
    if not operation.needs_caller:
        said["security"] = []
    parameters = [_path_id(name) for name in operation.path_ids]
    if operation.query is not None:
        parameters += _query(schemas[operation.query, "validation"])
    if operation.answers.get(200) == Media("text/event-stream", "Server-sent events"):
        parameters.append(_LAST_EVENT_ID)
    if parameters:
        said["parameters"] = parameters
    if operation.body is not None:
        said["requestBody"] = {"required": True, "content": _content(operation.body)}
    said["responses"] = {str(status): _answer(status, model) for status, model in operation.answers.items()}
    for status, errors in sorted(_by_status(_problems(operation)).items()):
        said["responses"][str(status)] = _problem(errors)
    said["responses"]["default"] = _problem([])
    return said


def _problems(operation: Operation) -> list[type[UserError]]:
    """Return the errors that an operation may answer with: its own, and those that any like it has."""
    of_body: list[type[UserError]] = [BodyTooLarge, WrongMediaType] if operation.body is not None else []
    if isinstance(operation.body, type):
        of_body.append(NotJson)
    checked: list[type[UserError]] = [InvalidRequest] if operation.query or isinstance(operation.body, type) else []
    return [*operation.problems, *of_body, *checked]


def _by_status(problems: list[type[UserError]]) -> dict[int, list[type[UserError]]]:
    found: dict[int, list[type[UserError]]] = {}
    for each in dict.fromkeys(problems):
        found.setdefault(status_of_kind(each), []).append(each)
    return found


def _answer(status: int, model: type[BaseModel] | Media | None) -> dict[str, Any]:
    words = _STATUS_WORDS[status]
    if model is None:
        return {"description": words}
    if isinstance(model, Media):
        return {"description": model.description, "content": _content(model)}
    return {"description": _words(model.__doc__) or words, "content": _content(model)}


def _problem(errors: list[type[UserError]]) -> dict[str, Any]:
    told = "; ".join(f"`{error.id}`: {_words(error.__doc__).partition('. ')[0]}" for error in errors)
    content = {PROBLEM: {"schema": {"$ref": _REFERENCE.format(model=ProblemAnswer.__name__)}}}
    return {"description": told or "Any other problem", "content": content}


def _content(body: type[BaseModel] | Media) -> dict[str, Any]:
    if isinstance(body, Media):
        return {body.type: {"schema": {}}}
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(model=body.__name__)}}}


def _path_id(name: str) -> dict[str, Any]:
    of = name.removesuffix("_id")
    schema = {"type": "integer", "format": "int64", "minimum": 0, "maximum": LARGEST_ID}
    return {"name": name, "in": "path", "required": True, "description": f"The {of}'s id", "schema": schema}


def _query(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [_query_parameter(name, each, name in required) for name, each in schema["properties"].items()]


def _query_parameter(name: str, schema: dict[str, Any], required: bool) -> dict[str, Any]:
    plain = _plain(schema)
    # What may be left out is never null in a query: there are no nulls there.
    choices = [one for one in plain.pop("anyOf", []) if one != {"type": "null"}]
    merged = {**(choices[0] if len(choices) == 1 else {}), **plain}
    if merged.get("default", "") is None:
        merged.pop("default")
    words = merged.pop("description", "")
    said = {"name": name, "in": "query", "required": required, "schema": merged}
    return {**said, "description": words} if words else said


_LAST_EVENT_ID = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The id of the last event that was received: the stream goes on after it",
    "schema": {"type": "string"},
}


def _plain(schema: Any) -> Any:
    """Return a schema without the titles that pydantic makes of names, and with docstrings on one line."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: _plain(each) for name, each in schema.items() if not (name == "title" and isinstance(each, str))}
    if isinstance(kept.get("description"), str):
        kept["description"] = " ".join(kept["description"].split())
    return kept


def _words(text: str | None) -> str:
    return " ".join((text or "").split()).rstrip(".")
