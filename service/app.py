"""The Flask application: webhooks, pages, health and metrics. Long-lived connections are in `asgi.py`."""

from flask import Flask, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text
from werkzeug.middleware.proxy_fix import ProxyFix

from service.api.routes import EXTENSION as API
from service.api.routes import Access, answer_in_problems, api_blueprint
from service.console.views import blueprint as console
from service.metrics import Metrics
from service.parts import EXTENSION, Parts, make_parts
from service.settings import Settings
from service.webhooks.views import blueprint as webhooks

MAX_BODY_BYTES = 25 * 1024 * 1024  # https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap


def create_app(settings: Settings | None = None, parts: Parts | None = None) -> Flask:
    """Return the application. Raises `SettingsInvalid` when it must not start as it is configured."""
    parts = parts or make_parts(settings or Settings())
    parts.settings.check()
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.extensions[EXTENSION] = parts
    # What the one proxy in front, or the tunnel to this machine, has added: an address is behind whatever the client
    # sent. How the service was asked is a proxy's word alone: on loopback, whoever names another host is not from here.
    by_proxy = 0 if parts.settings.on_loopback else 1
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=by_proxy, x_host=by_proxy)  # type: ignore[method-assign]
    app.register_blueprint(webhooks)
    app.register_blueprint(console)
    app.register_blueprint(api_blueprint())
    answer_in_problems(app)
    app.extensions[API] = Access.of(parts)
    _add_health(app, parts)
    return app


def _add_health(app: Flask, parts: Parts) -> None:
    numbers = Metrics(parts)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Answer as long as the process can; touches nothing else, so that a slow database restarts nobody."""
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz() -> tuple[dict[str, str], int]:
        """Answer 200 when a webhook could be committed now."""
        return readiness(parts)

    @app.get("/metrics")
    def metrics() -> Response:
        """Give Prometheus its numbers."""
        return Response(numbers.text(), content_type=CONTENT_TYPE_LATEST)


def readiness(parts: Parts) -> tuple[dict[str, str], int]:
    """Return whether this process could commit something now: what is said of it, and the status."""
    try:
        with parts.engine.connect() as connection:
            connection.execute(text("SELECT 1 FROM alembic_version"))
    except Exception as error:
        return {"status": "unready", "database": type(error).__name__}, 503
    return {"status": "ready"}, 200
