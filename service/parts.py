"""The service's long-lived parts, made once a process and handed to whoever needs them."""

from dataclasses import dataclass
from typing import cast

from flask import current_app
from sqlalchemy import Engine

from service.blobs import BlobStore, open_blobs
from service.database import Sessions, make_engine, make_sessions
from service.settings import Settings

EXTENSION = "stagedoor"


@dataclass(frozen=True, slots=True)
class Parts:
    """Settings, database and blobs. Nothing in here connects before it is used.

    `warm_door` is the descriptor by which a worker reaches its keeper of warm processes, where it has one.
    """

    settings: Settings
    engine: Engine
    sessions: Sessions
    blobs: BlobStore
    warm_door: int | None = None


def make_parts(settings: Settings) -> Parts:
    """Return the parts that the settings describe."""
    engine = make_engine(settings.database)
    return Parts(settings, engine, make_sessions(engine), open_blobs(settings))


def current_parts() -> Parts:
    """Return the parts of the Flask application that is answering now."""
    return cast(Parts, current_app.extensions[EXTENSION])
