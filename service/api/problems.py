"""Errors as problem details (RFC 9457), in the words that the command line, comments and pages have for them, too."""

import traceback
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import responses
from typing import Any
from uuid import uuid4

import structlog
from pydantic import ValidationError

from service.access.errors import AccessError
from stagedoor.errors import UserError

log = structlog.get_logger(__name__)

PROBLEM = "application/problem+json"
URN = "urn:stagedoor:error:"
_CONFLICT = 409
_MOST_NAMED = 20  # of what is wrong with one request


class UnknownPath(AccessError):
    """Nothing is here."""

    id = "unknown-path"
    status = 404

    def __init__(self, path: str) -> None:
        super().__init__(f"The API has nothing at {path[:200]}.", "GET /api/v1/openapi.json says what it has.")


class MethodNotAllowed(AccessError):
    """A path that is there, and is not asked like this."""

    id = "method-not-allowed"
    status = 405

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        self.allowed = allowed
        super().__init__(f"This path does not answer {method[:20]}.", f"It answers {', '.join(allowed)}.")


class BodyTooLarge(AccessError):
    """A body over its limit. `limit` is in bytes."""

    id = "body-too-large"
    status = 413

    def __init__(self, limit: int, remedy: str = "Send less at once.") -> None:
        super().__init__(f"The request's body is larger than {limit:,} bytes.", remedy)


class BodyTooSlow(AccessError):
    """A body whose sender fell silent, or took too long."""

    id = "body-too-slow"
    status = 408

    def __init__(self) -> None:
        super().__init__("The request's body took too long.", "Send it again, without a pause.")


class WrongMediaType(AccessError):
    """A body of another kind than the path takes."""

    id = "wrong-media-type"
    status = 415

    def __init__(self, given: str, taken: str) -> None:
        what = f"The request's body is {given[:100]}" if given else "The request does not say what its body is"
        super().__init__(f"{what}; this path takes {taken}.", f"Send it with Content-Type: {taken}.")


class NotJson(AccessError):
    """A body that cannot be read as JSON."""

    id = "not-json"
    status = 400

    def __init__(self) -> None:
        super().__init__("The request's body is not a JSON document in UTF-8.", "Send one.")


class InvalidRequest(AccessError):
    """A request whose parts are not as they are described. `errors` are places (`body.commit`) and what is wrong."""

    id = "invalid-request"
    status = 422

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        self.errors = errors
        told = "; ".join(f"{where}: {what}" for where, what in errors)
        super().__init__(f"The request is not as it has to be: {told}.", "Put that right and send it again.")

    @classmethod
    def of(cls, part: str, found: ValidationError) -> "InvalidRequest":
        """Return it for what pydantic found in a part of the request: `body`, `query`. No value is repeated."""
        errors = found.errors(include_url=False, include_input=False, include_context=False)[:_MOST_NAMED]
        return cls([(".".join([part, *map(str, each["loc"])])[:200], _lower(each["msg"])) for each in errors])


class ContentRefused(AccessError):
    """Something is wrong with what is in the body; the id and the words are of that."""

    id = "content-refused"
    status = 422

    def __init__(self, error: UserError) -> None:
        super().__init__(error.what, error.remedy)
        self.error = error


class AnsweredElsewhere(AccessError):
    """A stream or an upload that came to the application past its front door."""

    id = "no-front-door"
    status = 501

    def __init__(self) -> None:
        super().__init__("This path is answered by the front door alone.", "Ask the service, not its application.")


class OtherHttpError(AccessError):
    """What HTTP itself has a word for."""

    id = "http-error"

    def __init__(self, status: int) -> None:
        words = responses.get(status, "The request cannot be answered")
        super().__init__(f"{words} ({status}).", "GET /api/v1/openapi.json says what the API takes.")


OTHER_STATUSES: Mapping[str, int] = {"invalid-stage-name": 422, "invalid-commit": 422, "too-many-plans": 429}
"""Of errors that know nothing of HTTP, by their ids; those that are not here say that something stands in the way."""


def status_of(error: UserError) -> int:
    """Return HTTP's status for an error that somebody can put right."""
    return status_of_kind(type(error))


def status_of_kind(kind: type[UserError]) -> int:
    """Return HTTP's status for a kind of error that somebody can put right."""
    return kind.status if issubclass(kind, AccessError) else OTHER_STATUSES.get(kind.id, _CONFLICT)


def problem_of(error: UserError, status: int | None = None) -> tuple[dict[str, Any], int]:
    """Return an error as a problem document and its status."""
    status = status or status_of(error)
    if isinstance(error, ContentRefused):
        error = error.error
    problem: dict[str, Any] = {
        "type": URN + error.id,
        "title": error.what,
        "detail": error.remedy,
        "status": status,
        "id": error.id,
        "what": error.what,
        "remedy": error.remedy,
    }
    if isinstance(error, InvalidRequest):
        problem["errors"] = [{"where": where, "what": what} for where, what in error.errors]
    return problem, status


def headers_of(error: UserError, status: int) -> dict[str, str]:
    """Return the headers that belong to an error's answer."""
    headers = {"Cache-Control": "no-store"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="Stagedoor"'
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["Retry-After"] = "60" if status == HTTPStatus.TOO_MANY_REQUESTS else "5"
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    return headers


def our_own_problem(error: BaseException, where: str) -> tuple[dict[str, Any], int]:
    """Return a fault of ours as a problem: its number for whoever asked, its traceback for the log."""
    number = uuid4().hex[:8]
    said = "".join(traceback.format_exception(error))
    log.error("a request of the API failed by a fault of ours", error_number=number, request=where, traceback=said)
    what = f"Something went wrong on our side (error {number})."
    remedy = "Try again; whoever operates Stagedoor finds the error's number in the log."
    problem = {"type": f"{URN}internal-error", "title": what, "detail": remedy, "status": 500}
    return {**problem, "id": "internal-error", "what": what, "remedy": remedy}, 500


def _lower(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if message[1:2].islower() else message
