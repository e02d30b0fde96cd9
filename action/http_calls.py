"""HTTP with the standard library: JSON in and out, with patience. No redirect is followed: a token would go along."""

from __future__ import annotations

import http.client
import json
import random
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable

from action.refusal import Refused

SECONDS = 30.0
PASSING = frozenset({429, 502, 503, 504})
"""Statuses after which the same is asked again."""

_ATTEMPTS = 7
_LONGEST_WAIT = 15.0
_ANSWER_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """An answer. `document` is its JSON object, empty where it is none."""

    status: int
    document: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Http:
    """Makes calls. `wait` sleeps, and is told apart for tests of how long."""

    def __init__(self, wait: Callable[[float], None] = time.sleep) -> None:
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._wait = wait

    def call(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        attempts: int = _ATTEMPTS,
    ) -> Answer:
        """Return the answer, whatever its status; what is passing is asked again. Only for what may be sent twice.

        Raises `Refused` where nobody answers.
        """
        data = None if body is None else json.dumps(body).encode()
        for attempt in range(attempts):
            last = attempt == attempts - 1
            try:
                answer = self._once(method, url, data, headers or {})
                if answer.status not in PASSING or last:
                    return answer
                pause = answer.headers.get("retry-after", "")
            except (OSError, http.client.HTTPException) as trouble:
                if last:
                    raise away(url, trouble) from None
                pause = ""
            self._wait(float(pause) if pause.isdigit() and int(pause) <= 60 else backoff(attempt))
        raise AssertionError("unreachable")

    def open(self, url: str, headers: Mapping[str, str], timeout: float) -> Any:
        """Open a stream, or raise `urllib.error.HTTPError`, `OSError`."""
        return self._opener.open(_request("GET", url, None, headers), timeout=timeout)

    def _once(self, method: str, url: str, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        try:
            with self._opener.open(_request(method, url, data, headers), timeout=SECONDS) as answer:
                return _answer(answer.status, answer)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error)


def backoff(attempt: int) -> float:
    """Return how long to wait after so many failures, in seconds; not the same for everybody."""
    return min(_LONGEST_WAIT, 0.25 * 2.0**attempt) * (0.5 + random.random() / 2)  # noqa: S311 - no secret


def away(url: str, trouble: BaseException) -> Refused:
    """Return why nobody can be asked."""
    reason = getattr(trouble, "reason", None) or trouble
    said = "it took too long" if isinstance(reason, (socket.timeout, TimeoutError)) else str(reason)
    host = url.split("/")[2] if url.count("/") >= 2 else url
    return Refused("no-service", f"{host} does not answer: {said}.", "See that it runs, and that its address is right.")


def _request(method: str, url: str, data: bytes | None, headers: Mapping[str, str]) -> urllib.request.Request:
    own = {"Accept": "application/json", "User-Agent": "stagedoor-action"}
    if data is not None:
        own["Content-Type"] = "application/json"
    return urllib.request.Request(url, data, {**own, **headers}, method=method)  # noqa: S310 - `inputs.py` has checked


def _answer(status: int, response: Any) -> Answer:
    body = response.read(_ANSWER_LIMIT)
    headers = {name.lower(): value for name, value in response.headers.items()}
    try:
        document = json.loads(body)
    except ValueError:
        return Answer(status, {}, headers)
    return Answer(status, document if isinstance(document, dict) else {"items": document}, headers)
