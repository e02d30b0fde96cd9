"""Operations that asyncio answers, as routes of the front door: streams, and uploads that no memory could hold."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.api import problems
from service.api.access import Access
from service.api.asking import Asking
from service.api.flask_views import JSON, checked_query
from service.api.glances import Glances
from service.api.operation import LARGEST_ID, Operation
from service.parts import Parts
from stagedoor.errors import UserError


@dataclass(frozen=True, slots=True)
class Door:
    """What these operations work with."""

    parts: Parts
    access: Access
    glances: Glances
    uploads: asyncio.Semaphore
    asking: Asking


def asyncio_routes(operations: Iterable[Operation], door: Door) -> list[Route]:
    """Return the routes; other methods of these paths are refused by Flask, which knows of them, too."""
    return [
        Route(one.starlette_path, _endpoint(one, door), methods=[one.method]) for one in operations if one.by_asyncio
    ]


def _endpoint(operation: Operation, door: Door) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await _answer(operation, door, request)
        except UserError as error:
            problem, status = problems.problem_of(error)
            headers = problems.headers_of(error, status)
        except Exception as error:
            problem, status = problems.our_own_problem(error, f"{request.method} {request.url.path}")
            headers = {"Cache-Control": "no-store"}
        return JSONResponse(problem, status, headers, media_type=problems.PROBLEM)

    return answer


async def _answer(operation: Operation, door: Door, request: Request) -> Response:
    ids: dict[str, int] = dict(request.path_params)
    if any(each > LARGEST_ID for each in ids.values()):
        raise problems.UnknownPath(request.url.path)
    given: dict[str, Any] = dict(ids)
    if operation.needs_caller:
        given["caller"] = await asyncio.to_thread(door.access.caller, request.headers)
    if (query := checked_query(operation, request.query_params.multi_items())) is not None:
        given["query"] = query
    said = await operation.view(door, request, **given)
    if isinstance(said, BaseModel):
        text = said.model_dump_json()
        return Response(text, operation.status, {"Cache-Control": "no-store"}, media_type=JSON)
    return said if isinstance(said, Response) else Response(status_code=operation.status)
