"""The one front door: long-lived connections are answered by asyncio, everything else by Flask on threads.

An open event stream costs a coroutine here; on a thread each it would starve webhooks
(40 of them on 32 threads made a health check take 5 s).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Receive, Scope, Send

from service.api.access import still_permitted
from service.api.routes import api_routes
from service.app import MAX_BODY_BYTES, create_app, readiness
from service.console.stream import event_stream
from service.flask_threads import FlaskThreads
from service.parts import Parts, make_parts
from service.pulse import relay_pulse
from service.relay.bridge_side import ATTEMPTS, Attempts
from service.relay.relay import Relay
from service.relay.routes import relay_routes, running
from service.roles import Role
from service.settings import Settings

FLASK_THREADS = 8  # more of them do not answer faster: they wait for one interpreter (bench/results/webhooks.md)


def make_front_door(settings: Settings | None = None, role: Role = Role.ALL) -> Starlette:
    """Return the ASGI application of a web process. `state.relay`, None in the role `WEB`, is to be drained before it
    stops. What needs the relay has a path under /live: those go to the role `RELAY`, all others to `WEB`.
    """
    parts = make_parts(settings or Settings())
    parts.settings.check()
    relay = Relay(parts, still_permitted(parts)) if role.has_relay else None
    attempts = Attempts(relay) if relay else None
    routes = [
        *(relay_routes(relay, attempts) if relay and attempts else []),
        *(_web_routes(parts) if role.has_web else _health_routes(parts)),
    ]

    @asynccontextmanager
    async def living(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as life:
            if relay is not None:
                await life.enter_async_context(running(relay))
                pulse = asyncio.create_task(relay_pulse(relay))
                life.callback(pulse.cancel)
            yield

    front_door = FrontDoor(routes=routes, lifespan=living)
    front_door.attempts = attempts
    front_door.state.relay = relay
    return front_door


class FrontDoor(Starlette):
    """A Starlette that lets invocations past its layers, as these take a tenth of what one costs the relay."""

    attempts: Attempts | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an invocation at once, and all else as Starlette does."""
        if self.attempts and scope["type"] == "http" and scope["method"] == "POST":
            before, _, attempt = scope["path"].rpartition("/")
            if before == ATTEMPTS[:-1] and attempt:
                scope["path_params"] = {"attempt": attempt}
                await self.attempts(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def _web_routes(parts: Parts) -> list[BaseRoute]:
    flask = create_app(parts=parts)
    return [event_stream(parts), *api_routes(flask), Mount("/", FlaskThreads(flask, MAX_BODY_BYTES, FLASK_THREADS))]


def _health_routes(parts: Parts) -> list[BaseRoute]:
    """Return what a load balancer asks of a relay, which has no Flask."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        said, status = await asyncio.to_thread(readiness, parts)
        return JSONResponse(said, status)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
