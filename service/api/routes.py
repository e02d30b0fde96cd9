"""The whole API: every module that declares operations, as a Flask blueprint and as routes of the front door."""

import asyncio

from flask import Blueprint, Flask, Response, request
from starlette.routing import Route

from service.api import assemblies, live, logins, operators, plans, runs, stages, streams  # noqa: F401 - they declare
from service.api.access import EXTENSION, Access
from service.api.asking import Asking
from service.api.door import Door, asyncio_routes
from service.api.flask_views import answer_in_problems, make_blueprint
from service.api.glances import Glances
from service.api.openapi import openapi_text
from service.api.operation import OPERATIONS, Media, declare
from service.parts import EXTENSION as PARTS

_DOCUMENT_SECONDS = 300


@declare("GET", "/openapi.json", tag="about", answer=Media("application/json", "This document"))
def get_openapi() -> Response:
    """Return this document."""
    response = Response(document(), content_type="application/json")
    response.headers["Cache-Control"] = f"public, max-age={_DOCUMENT_SECONDS}"
    response.add_etag()
    response.make_conditional(request)
    return response


def document() -> str:
    """Return the OpenAPI document as it is checked in."""
    return openapi_text(OPERATIONS.all)


def api_blueprint() -> Blueprint:
    """Return what Flask answers."""
    return make_blueprint(OPERATIONS.all)


def api_routes(flask: Flask) -> list[Route]:
    """Return what asyncio answers, beside a Flask application that answers the rest."""
    access: Access = flask.extensions[EXTENSION]
    uploads = asyncio.Semaphore(assemblies.AT_ONCE)
    door = Door(flask.extensions[PARTS], access, Glances(access.parts), uploads, Asking())
    return asyncio_routes(OPERATIONS.all, door)


__all__ = ["EXTENSION", "Access", "answer_in_problems", "api_blueprint", "api_routes", "document"]
