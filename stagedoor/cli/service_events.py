"""What a run at the service says, followed as it is said, over connections that may break."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from stagedoor.cli.service import Service
from stagedoor.events import Event, EventKind

SILENT_SECONDS = 45.0
"""The service says every 15 s that it is there; a connection that says nothing for so long is none."""

PATIENCE_SECONDS = 60.0
"""How long the service may be away before a stream is given up."""

_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event: its kind, its place in the stream, and its data."""

    kind: str
    place: str
    data: Mapping[str, Any]


def followed(service: Service, path: str, pause: Callable[[float], None] = time.sleep) -> Iterator[Message]:
    """Yield what a stream says until its `end`, which is the last; what broke is taken up where it was.

    Raises what `Service.call` raises when the service is away for longer than it may be, or refuses.
    """
    place, since = "", time.monotonic()
    while True:
        try:
            with _opened(service, path, place) as answer:
                for message in read_messages(answer):
                    place, since = message.place or place, time.monotonic()
                    yield message
                    if message.kind == "end":
                        return
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() - since > PATIENCE_SECONDS:
                raise service.away(error) from None
        pause(_PAUSE_SECONDS)


def read_messages(lines: Iterable[bytes]) -> Iterator[Message]:
    """Yield the messages of a stream's lines (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    fields: dict[str, str] = {}
    for line in lines:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        name, _, value = text.partition(":")
        if text:
            if name:  # a line that begins with a colon is a comment
                fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            yield Message(fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"]))
        fields = {}


def event_of(message: Message) -> Event | None:
    """Return what a run said as the event that it was; None for what is no such event, or one of a later version."""
    try:
        kind = EventKind(message.kind)
    except ValueError:
        return None
    said = message.data
    return Event(
        kind,
        str(said["subject"]),
        str(said["status"]),
        str(said["message"]),
        said["seconds"],
        said["data"],
        datetime.fromisoformat(str(said["at"])),
    )


def _opened(service: Service, path: str, place: str) -> IO[bytes]:
    """Open a stream. An error of the service's that may pass is raised as one of the connection."""
    headers = service.headers("text/event-stream")
    if place:
        headers["Last-Event-ID"] = place
    request = urllib.request.Request(service.at(path), headers=headers)  # noqa: S310 - the URL was looked at
    try:
        opened: IO[bytes] = urllib.request.urlopen(request, timeout=SILENT_SECONDS)  # noqa: S310
    except urllib.error.HTTPError as error:
        if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        raise service.refused(error) from None
    return opened
