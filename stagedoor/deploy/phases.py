"""The parts of a deploy that are told by name, with the time that each takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stagedoor.errors import UserError
from stagedoor.events import Emit, Event, EventKind


@contextmanager
def phase(emit: Emit, name: str) -> Iterator[dict[str, Any]]:
    """Say when a phase begins and how it ends, with what is put into the dictionary. Nothing is emitted on the way out
    of an error that emitting raised.
    """
    told: dict[str, Any] = {}
    began = time.monotonic()
    emit(Event(EventKind.PHASE, name, "started"))
    try:
        yield told
    except UserError as error:
        emit(Event(EventKind.PHASE, name, "failed", error.what, time.monotonic() - began))
        raise
    emit(Event(EventKind.PHASE, name, "done", seconds=time.monotonic() - began, data=told))
