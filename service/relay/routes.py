"""The relay's routes in the front door, and its life in it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from service.access.tokens import FUNCTION_SECONDS, FunctionToken
from service.parts import Parts
from service.relay import bridge_side
from service.relay.agent_side import tunnel
from service.relay.identity import IdentityRefused, IdentityUnknown, local_endpoint, proves
from service.relay.registry import registered
from service.relay.relay import Relay
from service.relay.replay import replay_routes
from service.relay.rows import stage_facts

log = structlog.get_logger(__name__)
_MOST_BYTES = 16 * 1024


def relay_routes(relay: Relay, attempts: bridge_side.Attempts) -> list[BaseRoute]:
    """Return the routes under /live."""

    async def connect(websocket: WebSocket) -> None:
        await tunnel(relay, websocket)

    return [
        Route(f"{bridge_side.ATTEMPTS}{{attempt}}", attempts, methods=["POST"]),
        Route(f"{bridge_side.ATTEMPTS}{{attempt}}", bridge_side.known(relay)),
        Route("/live/presence", bridge_side.presence(relay)),
        Route("/live/sandboxes/{sandbox}", bridge_side.sandbox(relay), methods=["PUT"]),
        Route("/live/token", _token(relay), methods=["POST"]),
        WebSocketRoute("/live/tunnel", connect),
        *replay_routes(relay),
    ]


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[None]:
    """Let the relay's clock run, and its records be written."""
    relay.records.start()
    tasks = [asyncio.create_task(relay.run()), asyncio.create_task(relay.keep_directory())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(relay.records.stop)
        await relay.identities.close()
        await relay.forwarder.close()
        await relay.directory.close()


def _token(relay: Relay) -> Any:
    """Return the endpoint of `POST /live/token`."""

    async def answer(request: Request) -> Response:
        said = await _said(request)
        function, stage, url = said.get("function"), said.get("stage"), said.get("url")
        if not isinstance(function, str) or not isinstance(url, str) or not str(stage).isdecimal():
            return PlainTextResponse("function, stage and url are needed", 400)
        try:
            caller = await relay.identities.caller(url)
        except IdentityRefused as error:
            log.warning("a bridge is refused", function=function, stage_id=stage, error=str(error))
            return PlainTextResponse(str(error), 403)
        except IdentityUnknown as error:
            log.warning("a bridge's identity is not known", function=function, stage_id=stage, error=str(error))
            return PlainTextResponse(str(error), 503, {"Retry-After": "1"})
        found = await asyncio.to_thread(_registered, relay.parts, int(str(stage)), function)
        if found is None:
            return PlainTextResponse("this function is not registered for the stage", 404)
        role, account = found
        if not proves(caller, function, role, account, local=bool(local_endpoint())):
            log.warning("a bridge is somebody else", function=function, stage_id=stage, caller=str(caller))
            return PlainTextResponse("the URL was signed by somebody else", 403)
        claims = FunctionToken(int(str(stage)), function)
        live = await bridge_side.somebody_takes(relay, claims)
        return JSONResponse({"token": relay.tokens.mint(claims), "expires_in": FUNCTION_SECONDS, "live": live})

    return answer


def _registered(parts: Parts, stage_id: int, function: str) -> tuple[str, str] | None:
    """Return the role of a live function of the stage, and its account."""
    facts = stage_facts(parts.sessions, stage_id)
    if facts is None:
        return None
    with parts.sessions() as session:
        for one in registered(session, stage_id):
            if one.name == function and one.live:
                return one.role, facts.account
    return None


async def _said(request: Request) -> dict[str, Any]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
