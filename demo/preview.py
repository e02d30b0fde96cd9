"""A preview as its visitor sees it: HTTP requests to the URL that the pull request names."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from demo.aws.server import LocalAws
from demo.waiting import NotYet


@dataclass(frozen=True, slots=True)
class Preview:
    """The notes app of one stage, at the URL that AWS gave it."""

    aws: LocalAws
    url: str

    def version(self) -> str:
        """Return what `GET /` says."""
        return str(self._ask("GET", "/", expected=200)["version"])

    def version_is(self, wanted: str) -> str:
        """Return the version when it is the wanted one; else raise `NotYet`."""
        version = self.version()
        if version != wanted:
            raise NotYet(f"GET / answers {version!r}")
        return version

    def create(self, text: str) -> dict[str, Any]:
        """Write a note and return it."""
        return self._ask("POST", "/notes", {"text": text}, expected=201)

    def read(self, note_id: str) -> dict[str, Any]:
        """Read a note back."""
        return self._ask("GET", f"/notes/{note_id}", expected=200)

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None, *, expected: int) -> dict[str, Any]:
        url, host = self.aws.url_for(self.url.rstrip("/") + path)
        where = urlsplit(url)
        connection = http.client.HTTPConnection(where.netloc, timeout=15)
        try:
            content = json.dumps(body).encode() if body is not None else None
            connection.request(method, where.path, content, {"Host": host, "Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except OSError as error:
            raise NotYet(f"{method} {path}: {error}") from error
        finally:
            connection.close()
        if answer.status != expected:
            raise NotYet(f"{method} {path} answers {answer.status}: {text[:300]}")
        found: dict[str, Any] = json.loads(text)
        return found
