"""Operations as Flask's views: who asks, what is asked, and how it is answered."""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Flask, Response, make_response, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from service.access.callers import Caller
from service.access.errors import AccessError
from service.api import problems
from service.api.access import current_access
from service.api.operation import BASE, Answered, Operation
from stagedoor.errors import UserError

JSON = "application/json"
JSON_BYTES = 1024 * 1024


def make_blueprint(operations: Iterable[Operation]) -> Blueprint:
    """Return a blueprint that answers operations; of those that asyncio answers, it knows which methods they take."""
    blueprint = Blueprint("api", __name__)
    for operation in operations:
        view = _elsewhere if operation.by_asyncio else _view(operation)
        blueprint.add_url_rule(
            operation.flask_rule, operation.name, view, methods=[operation.method], provide_automatic_options=False
        )
    blueprint.register_error_handler(UserError, _refused)
    blueprint.register_error_handler(Exception, _failed)
    blueprint.after_request(_as_it_says)
    return blueprint


def answer_in_problems(app: Flask) -> None:
    """Have what is refused before a view is found answered as a problem, where it was asked of the API."""

    def told(error: HTTPException) -> ResponseReturnValue:
        return _told(error) if request.path.startswith("/api/") or request.path == "/api" else error

    app.register_error_handler(HTTPException, told)


def checked_query(operation: Operation, pairs: Iterable[tuple[str, str]]) -> BaseModel | None:
    """Return the query of a request. Raises `InvalidRequest`."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise problems.InvalidRequest([(f"query.{name}"[:200], "it is there more than once")])
        given[name] = value
    if operation.query is None:
        return None
    try:
        return operation.query.model_validate(given)
    except ValidationError as found:
        raise problems.InvalidRequest.of("query", found) from None


def checked_body(model: type[BaseModel], text: bytes) -> BaseModel:
    """Return a JSON body. Raises `NotJson` and `InvalidRequest`."""
    try:
        return model.model_validate_json(text)
    except ValidationError as found:
        if any(each["type"] == "json_invalid" for each in found.errors(include_input=False, include_url=False)):
            raise problems.NotJson from None
        raise problems.InvalidRequest.of("body", found) from None


def _view(operation: Operation) -> Callable[..., Response]:
    def answer(**ids: int) -> Response:
        given: dict[str, Any] = dict(ids)
        if operation.needs_caller:
            given["caller"] = _caller()
        if (query := checked_query(operation, request.args.items(multi=True))) is not None:
            given["query"] = query
        if isinstance(operation.body, type):
            given["body"] = _body(operation.body)
        said = operation.view(**given)
        if isinstance(said, Response):
            return said
        model, status = (said.model, said.status) if isinstance(said, Answered) else (said, operation.status)
        return _answer(model, status)

    return answer


def _as_it_says(response: Response) -> Response:
    """An app's own words are in many answers: no browser may take them for a page."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _elsewhere(**_ids: int) -> ResponseReturnValue:
    raise problems.AnsweredElsewhere


def _caller() -> Caller:
    return current_access().caller(request.headers)


def _body(model: type[BaseModel]) -> BaseModel:
    request.max_content_length = JSON_BYTES
    if request.mimetype != JSON:
        raise problems.WrongMediaType(request.mimetype, JSON)
    try:
        return checked_body(model, request.get_data(cache=False))
    except RequestEntityTooLarge:
        raise problems.BodyTooLarge(JSON_BYTES) from None


def _answer(model: BaseModel | None, status: int) -> Response:
    if model is None:
        return make_response("", status)
    text = model.model_dump_json().encode()
    response = Response(text, status, content_type=JSON)
    if request.method not in {"GET", "HEAD"}:
        response.headers["Cache-Control"] = "no-store"
        return response
    # Whoever asks again is told whether it is still so, and no one else is told what this caller was.
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.add("Authorization")
    response.set_etag(hashlib.sha256(text).hexdigest()[:32])
    response.make_conditional(request)
    return response


def _refused(error: UserError) -> Response:
    problem, status = problems.problem_of(error)
    response = make_response(problem, status)
    response.content_type = problems.PROBLEM
    response.headers.update(problems.headers_of(error, status))
    return response


def _failed(error: Exception) -> ResponseReturnValue:
    if isinstance(error, HTTPException):
        return _told(error)
    problem, status = problems.our_own_problem(error, f"{request.method} {request.path}")
    response = make_response(problem, status)
    response.content_type = problems.PROBLEM
    return response


def _told(error: HTTPException) -> ResponseReturnValue:
    """Return what HTTP has a word for as a problem; a redirect stays one."""
    if error.code is None or error.code < 400:
        return error
    known: AccessError = problems.OtherHttpError(error.code)
    if error.code == 404:
        known = problems.UnknownPath(request.path)
    elif error.code == 405:
        known = problems.MethodNotAllowed(request.method, sorted(getattr(error, "valid_methods", None) or ()))
    elif error.code == 413:
        known = problems.BodyTooLarge(request.max_content_length or 0)
    problem, status = problems.problem_of(known, error.code)
    response = make_response(problem, status)
    response.content_type = problems.PROBLEM
    response.headers.update(problems.headers_of(known, status))
    return response


__all__ = ["BASE", "answer_in_problems", "checked_body", "checked_query", "make_blueprint"]
