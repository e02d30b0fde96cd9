"""What a console lists of a stage's invocations, and one of them sent to an agent again."""

import asyncio
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from service.access.tokens import StageToken, TokenInvalid
from service.models import Invocation
from service.relay.attempts import Ask, Attempt, Phase
from service.relay.records import invocations, kept_event
from service.relay.registry import LiveFunction, registered
from service.relay.relay import Relay

LIMIT_SECONDS = 900
MOST_LISTED = 200


def replay_routes(relay: Relay) -> list[Route]:
    """Return `GET /live/stages/{stage}/invocations` and `POST /live/invocations/{invocation}/replay`; a stage token."""

    async def listed(request: Request) -> Response:
        claims = _claims(relay, request)
        stage_id = request.path_params["stage"]
        if claims is None or claims.stage_id != stage_id:
            return PlainTextResponse("the stage token is no good", 401)
        before, limit = (request.query_params.get(name, "") for name in ("before", "limit"))
        rows = await asyncio.to_thread(
            invocations,
            relay.parts.sessions,
            stage_id,
            int(before) if before.isdecimal() else None,
            min(int(limit), MOST_LISTED) if limit.isdecimal() else 50,
        )
        return JSONResponse({"invocations": rows})

    async def replayed(request: Request) -> Response:
        claims = _claims(relay, request)
        row = await asyncio.to_thread(kept_event, relay.parts.sessions, request.path_params["invocation"])
        if claims is None or row is None or row.stage_id != claims.stage_id:
            return PlainTextResponse("no such invocation, or not with this token", 404 if claims else 401)
        if row.event is None:
            return PlainTextResponse("its event was not kept", 409)
        function = await asyncio.to_thread(_function, relay, row)
        if function is None:
            return PlainTextResponse("the stage has this function no more", 409)
        attempt = _again(relay, row, row.event, function, claims.developer)
        if attempt is None:
            return PlainTextResponse("you have no agent here that takes it", 409)
        relay.soon(_follow(relay, attempt))
        return JSONResponse({"attempt": attempt.ask.attempt}, 202)

    return [
        Route("/live/stages/{stage:int}/invocations", listed),
        Route("/live/invocations/{invocation:int}/replay", replayed, methods=["POST"]),
    ]


def _claims(relay: Relay, request: Request) -> StageToken | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        return relay.tokens.verify(token if scheme.lower() == "bearer" else "", StageToken)
    except TokenInvalid:
        return None


def _function(relay: Relay, row: Invocation) -> LiveFunction | None:
    with relay.parts.sessions() as session:
        return next((one for one in registered(session, row.stage_id) if one.name == row.function), None)


def _again(relay: Relay, row: Invocation, event: bytes, function: LiveFunction, developer: str) -> Attempt | None:
    """Ask as a bridge would, in the newest sandbox, for this developer alone. The client context is not replayed."""
    now = relay.now()
    request_id = str(uuid.uuid4())
    headers: dict[str, Any] = {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": request_id,
        "Lambda-Runtime-Deadline-Ms": str(round((now + LIMIT_SECONDS) * 1000)),
        "Lambda-Runtime-Invoked-Function-Arn": function.arn,
    }
    ask = Ask(
        stage_id=row.stage_id,
        function=row.function,
        attempt=f"{request_id}.{uuid.uuid4().hex[:8]}",
        headers=headers,
        size=len(event),
        deadline=now + function.timeout_s,
        limit=now + LIMIT_SECONDS,
        sandbox=relay.sandboxes.newest(row.stage_id, row.function),
        developer=developer,
        replay_of=row.id,
    )
    answer, effects = relay.switchboard.ask(ask, event, has_sandbox=True, now=now)
    relay.perform(effects)
    if not isinstance(answer, Attempt) or answer.phase is Phase.DEPLOYED:
        return None
    answer.kept_event = event
    return answer


async def _follow(relay: Relay, attempt: Attempt) -> None:
    changed = relay.called(attempt)
    try:
        while not attempt.over:
            changed.clear()
            relay.perform(relay.switchboard.told(attempt, relay.now()))
            await changed.wait()
    finally:
        relay.hung_up(attempt, changed)
