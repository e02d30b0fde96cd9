"""A stage's events as they happen: server-sent events, taken up where they broke off.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from action.http_calls import PASSING, Answer, away, backoff
from action.refusal import Refused
from action.service import API, Service, checked

QUIET_SECONDS = 60.0
"""After so long without a byte a connection is taken for dead: the service sends a comment more often than that."""

GIVE_UP_SECONDS = 300.0
"""How long a service may be away before the step gives it up."""


@dataclass(frozen=True)
class Sent:
    """One event: what it is about, its JSON, and where the stream goes on after it."""

    kind: str
    data: Mapping[str, Any]
    id: str


OPEN = Sent("", {}, "")
"""Says that a connection stands, which may be silent for as long as it likes."""


def read(lines: Iterable[bytes]) -> Iterator[Sent]:
    """Yield the events of a stream. One that breaks off in the middle of an event does not yield it."""
    kind, last, data = "", "", []  # type: str, str, list[str]
    for raw in lines:
        if not raw.endswith(b"\n"):
            return
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield Sent(kind or "message", _document("\n".join(data)), last)
            kind, data = "", []
            continue
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id" and "\0" not in value:
            last = value


def follow(service: Service, path: str, until: float) -> Iterator[Sent]:
    """Yield the events of `path` to its `end`, each once: a connection that breaks is made again from the last one.

    `until` is the monotonic time at which it is given up. Raises `Refused`.
    """
    last, failures, away_since = "", 0, 0.0
    while True:
        trouble: BaseException | None = None
        try:
            for sent in _connected(service, path, last, until):
                away_since = 0.0
                if sent is OPEN:
                    continue
                last, failures = sent.id or last, 0
                yield sent
                if sent.kind == "end":
                    return
        except (OSError, http.client.HTTPException) as broken:
            trouble = broken
        now = time.monotonic()
        if now >= until:
            raise Refused("timed-out", "The run takes longer than this step waits.", "Raise the input `timeout`.")
        if trouble is not None:
            away_since = away_since or now
            if now - away_since > GIVE_UP_SECONDS:
                raise away(service.url, trouble)
        time.sleep(min(backoff(failures), max(0.0, until - time.monotonic())))
        failures = min(failures + 1, 10)


def _connected(service: Service, path: str, last: str, until: float) -> Iterator[Sent]:
    headers = {**service.headers(), "Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last:
        headers["Last-Event-ID"] = last
    timeout = max(0.1, min(QUIET_SECONDS, until - time.monotonic()))
    try:
        with service.http.open(service.url + API + path, headers, timeout) as answer:
            yield OPEN
            yield from read(_before(answer, until))
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(1_000_000)
        if error.code == 401:
            service.renew()  # the next connection asks with another token; one that is refused raises by itself
        elif error.code not in PASSING:
            checked(Answer(error.code, _document(said.decode("utf-8", "replace"))), service.url)
        raise ConnectionError(f"HTTP {error.code}") from None


def _before(lines: Iterable[bytes], until: float) -> Iterator[bytes]:
    """Yield lines until the time is over: a stream's heartbeats alone would keep it open for ever."""
    for line in lines:
        yield line
        if time.monotonic() >= until:
            return


def _document(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
