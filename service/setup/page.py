"""The loopback page: it posts the manifest to GitHub, and hears the answer. No credential is ever on it.

Only this machine reaches it, and of its browsers only one that asks for it by its own address: a page of the Internet
that has its name point here is refused by its `Host`, one that calls by script by its `Origin`. The address is a secret
of the terminal, and of the first browser that opens it: other users of the machine reach its loopback, too, and could
otherwise have the service keep an App of theirs.
"""

import hmac
import html
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, HTTPServer
from string import Template
from typing import Any
from urllib.parse import parse_qs, urlsplit

from service.setup.manifest import Place, manifest
from service.setup.states import StateRefused, States
from stagedoor.errors import UserError

COOKIE = "stagedoor-setup"
_CALLBACK = "/created"
_PAGE = Template("""<!doctype html><html lang="en"><meta charset="utf-8"><title>Stagedoor setup</title>
<style>body{font:1rem/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem}
button{font:inherit;padding:.5rem 1rem}</style><h1>$title</h1>$body</html>""")
_FORM = Template("""<p>GitHub will show a page on which you give the App its name. It may then read code and workflow
runs, and write comments, checks and deployments, in the repositories that you choose.</p>
<form method="post" action="$action"><input type="hidden" name="manifest" value="$manifest">
<button autofocus>Create the GitHub App</button></form>""")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made. `service` is the service's public URL, without a slash at its end."""

    place: Place
    organization: str
    name: str
    service: str


class Page:
    """The server of the page; `created` is called with the code, and returns where the App can be installed.

    `outcome` is that place, or what ended the run, or None while neither has come.
    """

    def __init__(self, wanted: Wanted, states: States, created: Callable[[str], str], port: int = 0) -> None:
        self._wanted = wanted
        self._states = states
        self._created = created
        self._key = secrets.token_urlsafe(16)
        self._browser = ""
        self.outcome: str | Exception | None = None
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.page = self
        self._server.timeout = 0.5

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self._origin}/{self._key}"

    @property
    def _origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve_once(self) -> None:
        """Answer one request, or return after half a second without one."""
        self._server.handle_request()

    def close(self) -> None:
        """Stop listening."""
        self._server.server_close()

    def answer(self, target: str, headers: Any) -> tuple[int, dict[str, str], str]:
        """Answer a GET: status, headers and body."""
        own = self._origin.removeprefix("http://")
        if headers.get("Host") != own or headers.get("Origin") not in (None, self._origin):
            return 403, {}, self._shown("Not from here", "<p>Open the address that the command named.</p>")
        where = urlsplit(target)
        cookie = SimpleCookie(headers.get("Cookie", "")).get(COOKIE)
        browser = cookie.value if cookie else ""
        if hmac.compare_digest(where.path.encode(), f"/{self._key}".encode()):
            return self._form(browser)
        if where.path == _CALLBACK:
            return self._back(parse_qs(where.query), browser)
        return 404, {}, self._shown("Nothing here", "")

    def _form(self, browser: str) -> tuple[int, dict[str, str], str]:
        if self._browser and not hmac.compare_digest(browser.encode(), self._browser.encode()):
            again = "<p>If that was not you, stop the command, and run it again.</p>"
            return 403, {}, self._shown("Another browser has opened this page", again)
        self._browser = self._browser or secrets.token_urlsafe(16)
        wanted = self._wanted
        said = json.dumps(manifest(wanted.name, wanted.service, f"{self._origin}{_CALLBACK}"))
        action = wanted.place.form(wanted.organization, self._states.make(self._browser))
        body = _FORM.substitute(action=html.escape(action), manifest=html.escape(said))
        cookie = f"{COOKIE}={self._browser}; HttpOnly; SameSite=Lax; Path=/"
        return 200, {"Set-Cookie": cookie}, self._shown("Create Stagedoor's GitHub App", body)

    def _back(self, query: dict[str, list[str]], browser: str) -> tuple[int, dict[str, str], str]:
        """Take GitHub's answer: the state first, so that nobody else's code is ever exchanged."""
        try:
            self._states.use(query.get("state", [""])[0], browser)
        except StateRefused as refused:
            return 403, {}, self._shown("Refused", _paragraph(refused))
        try:
            self.outcome = self._created(query.get("code", [""])[0])
        except UserError as error:
            self.outcome = error
            return 502, {}, self._shown("The App is not set up", _paragraph(error))
        except Exception as error:
            # Else the server would say nothing of it, and the command would wait for somebody who was here.
            self.outcome = error
            return 500, {}, self._shown("The App is not set up", "<p>The command says what went wrong.</p>")
        link = html.escape(self.outcome)
        return 200, {}, self._shown("The App is there", f'<p><a href="{link}">Install it on repositories</a>.</p>')

    def headers(self) -> dict[str, str]:
        """Return what each answer says of itself: nothing is fetched by it, kept of it, or put around it."""
        form = f"form-action 'self' {self._wanted.place.origin}"
        return {
            "Content-Security-Policy": f"default-src 'none'; style-src 'unsafe-inline'; {form}; frame-ancestors 'none'",
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    def _shown(self, title: str, body: str) -> str:
        return _PAGE.substitute(title=title, body=body)


def _paragraph(error: UserError) -> str:
    return f"<p>{html.escape(error.what)} {html.escape(error.remedy)}</p>"


class _Server(HTTPServer):
    page: Page

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that went away."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5

    def do_GET(self) -> None:
        """Answer."""
        page = self.server.page
        status, more, body = page.answer(self.path, self.headers)
        data = body.encode()
        self.send_response(status)
        for name, value in {**page.headers(), **more, "Content-Type": "text/html; charset=utf-8"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def version_string(self) -> str:
        """Name no versions."""
        return "stagedoor"

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the target has a code in it."""
