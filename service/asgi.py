"""The one front door: long-lived connections are answered by asyncio, everything else by Flask on threads.

An open event stream costs a coroutine here; on a thread each it would starve webhooks
(40 of them on 32 threads made a health check take 5 s).
"""

from starlette.applications import Starlette
from starlette.routing import Mount

from service.api.views import still_permitted
from service.app import MAX_BODY_BYTES, create_app
from service.console.stream import event_stream
from service.flask_threads import FlaskThreads
from service.parts import make_parts
from service.relay.relay import Relay
from service.relay.routes import relay_routes, running
from service.settings import Settings

FLASK_THREADS = 8  # more of them do not answer faster: they wait for one interpreter (bench/results/webhooks.md)


def make_front_door(settings: Settings | None = None) -> Starlette:
    """Return the ASGI application of a web process; its `state.relay` is to be drained before it stops."""
    parts = make_parts(settings or Settings())
    flask = create_app(parts=parts)
    relay = Relay(parts, still_permitted(parts))
    front_door = Starlette(
        routes=[
            *relay_routes(relay),
            event_stream(parts),
            Mount("/", FlaskThreads(flask, MAX_BODY_BYTES, FLASK_THREADS)),
        ],
        lifespan=lambda _app: running(relay),
    )
    front_door.state.relay = relay
    return front_door
