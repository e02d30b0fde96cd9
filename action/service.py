"""The deployment service's API (docs/api.md) as a workflow's job calls it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Callable
from urllib.parse import urlencode

from action.http_calls import Answer, Http
from action.refusal import Refused

API = "/api/v1"
_EARLY = 30.0
"""Seconds before its end at which a token is no longer used."""


class Token:
    """The token of this run: exchanged for an identity of the job when it is needed, and anew before it ends."""

    def __init__(self, exchange: Callable[[], Mapping[str, Any]], mask: Callable[[str], None]) -> None:
        self._exchange = exchange
        self._mask = mask
        self._value = ""
        self._until = 0.0

    def value(self) -> str:
        """Return a token that holds for a while. Raises `Refused`."""
        if time.monotonic() >= self._until:
            found = self._exchange()
            if not found.get("token"):
                raise Refused(
                    "service-refused",
                    "What answers at `server` gave this job no token.",
                    "See that it is a Stagedoor, and that nothing stands before it that asks people to sign in.",
                )
            self._value = str(found["token"])
            self._mask(self._value)
            lasts = found.get("expires_in")
            seconds = float(lasts) if isinstance(lasts, (int, float)) else 300.0
            self._until = time.monotonic() + max(1.0, seconds - _EARLY)
        return self._value

    def forget(self) -> None:
        """Have the next one exchanged anew: the service did not take this one."""
        self._until = 0.0


class Service:
    """Asks the service in the name of the job."""

    def __init__(self, url: str, token: Token, http: Http) -> None:
        self.url = url
        self.http = http
        self._token = token

    def headers(self) -> dict[str, str]:
        """Return what a call is made with."""
        return {"Authorization": f"Bearer {self._token.value()}"}

    def renew(self) -> None:
        """Have a new token for the next call."""
        self._token.forget()

    def get(self, path: str, **query: str) -> Mapping[str, Any]:
        """Ask. Raises `Refused` with the service's words."""
        return checked(self.answer("GET", f"{path}?{urlencode(query)}" if query else path), self.url)

    def post(self, path: str, body: Any = None, attempts: int = 7) -> Mapping[str, Any]:
        """Ask for something that may be asked twice. Raises `Refused` with the service's words."""
        return checked(self.answer("POST", path, {} if body is None else body, attempts), self.url)

    def answer(self, method: str, path: str, body: Any = None, attempts: int = 7) -> Answer:
        """Return the answer; where the token was not taken, that of a second call with another one."""
        answer = self.http.call(method, self.url + API + path, body, self.headers(), attempts)
        if answer.status == 401:
            self.renew()
            answer = self.http.call(method, self.url + API + path, body, self.headers(), attempts)
        return answer


def checked(answer: Answer, url: str) -> Mapping[str, Any]:
    """Return what an answer holds. Raises `Refused`: the service's own words (RFC 9457), or its status."""
    if 200 <= answer.status < 300:
        return answer.document
    if answer.document.get("id"):
        raise Refused.of(answer.document)
    raise Refused(
        "service-refused",
        f"The service at {url} answered {answer.status}.",
        "See that it is a Stagedoor of this version.",
    )
