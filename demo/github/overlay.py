"""The local GitHub's one port: what the emulator lacks is answered here, the rest is handed on to it.

Every answer that names a commit comes from the git repository; every token is checked for the repository and the
permission that GitHub asks for.
"""

import http.client
import json
import re
import socket
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Self
from urllib.parse import unquote, urlsplit

from demo.github.exchange import Answer, Refused, Request
from demo.github.git_repository import NothingThere
from demo.github.login import DeviceLogins, with_client_id
from demo.github.manifests import Manifests
from demo.github.routes import ROUTES, stored_artifact
from demo.github.smart_http import CgiRequest, serve_git
from demo.github.workflow_runs import STORAGE
from demo.github.world import APP_SLUG, Access, LocalRepository, World

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


class Overlay:
    """The HTTP server. `port` is known before the emulator starts, since its links are to lead here."""

    def __init__(self, git_root: Path) -> None:
        self._git_root = git_root
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.overlay = self
        self.port = int(self._server.server_address[1])
        self.emulator_port = 0
        self.world: World
        self._logins = DeviceLogins()
        self.manifests: Manifests

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        try:
            if found := re.fullmatch(r"/([^/]+/[^/]+?)\.git(/.*)", request.path):
                return self._git(request, found[1], found[2])
            if found := re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*|)", request.path):
                return self._repository(request, found[1], found[2])
            if re.fullmatch(r"/app/installations/\d+/access_tokens", request.path):
                return self._token(request)
            own = self._logins.answer(request, self.world) or self.manifests.answer(request, self.world)
            return own or with_client_id(request, self.forward(request))
        except Refused as refused:
            return refused.answer
        except NothingThere:
            return Refused(404, "Not Found").answer

    def forward(self, request: Request) -> Answer:
        """Hand a request on to the emulator."""
        connection = http.client.HTTPConnection("127.0.0.1", self.emulator_port, timeout=30)
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP | {"host"}}
            target = request.path + (f"?{request.query}" if request.query else "")
            connection.request(request.method, target, body=request.body or None, headers=headers)
            response = connection.getresponse()
            kept = [(name, value) for name, value in response.getheaders() if name.lower() not in _HOP]
            return Answer(response.status, response.read(), kept)
        finally:
            connection.close()

    def _repository(self, request: Request, name: str, rest: str) -> Answer:
        repository = self.world.repositories.get(name)
        if repository is None:
            raise Refused(404, "Not Found")
        for method, pattern, permission, level, function in ROUTES:
            if method == request.method and (found := pattern.fullmatch(rest)):
                access = self._allow(request, repository, permission, level)
                parts = {key: unquote(value) for key, value in found.groupdict().items()}
                return function(self, request, repository, access, parts)
        self._access(request)
        return self._signed(self.forward(request), repository)

    def _access(self, request: Request) -> Access:
        access = self.world.access(request.token)
        if access is None:
            raise Refused(401, "Bad credentials")
        if access.permissions is not None and self.world.suspended:
            raise Refused(403, "This installation has been suspended")
        if access.permissions is not None and self.world.removed:
            raise Refused(401, "Bad credentials")
        return access

    def _allow(self, request: Request, repository: LocalRepository, permission: str, level: str) -> Access:
        access = self._access(request)
        if not access.allows(repository, permission, level):
            raise Refused(403, "Resource not accessible by integration")
        return access

    def _signed(self, answer: Answer, repository: LocalRepository) -> Answer:
        """Say which App wrote a comment or a check run, and the owner's number that webhooks tell: the emulator does
        neither.
        """
        if answer.status >= 300 or not answer.body.startswith((b"{", b"[")):
            return answer
        value = json.loads(answer.body)
        app = self.world.app
        for each in value if isinstance(value, list) else [value]:
            if "issue_url" in each and str((each.get("user") or {}).get("login", "")).endswith("[bot]"):
                each["performed_via_github_app"] = app
            if each.get("full_name") == repository.full_name:
                each["owner"] = repository.shape["owner"]
            if "external_id" in each and "head_sha" in each:
                each["app"] = app
                runs = repository.check_runs.setdefault(each["head_sha"], [])
                if each["id"] not in runs:
                    runs.append(each["id"])
                repository.saw_check_run(each["id"], str(each.get("conclusion") or each["status"]))
        return Answer(answer.status, json.dumps(value).encode(), answer.headers)

    def _token(self, request: Request) -> Answer:
        if self.world.suspended:
            raise Refused(403, "This installation has been suspended")
        if self.world.removed:
            raise Refused(404, "Not Found")
        answer = self.forward(request)
        if answer.status == 201:
            said = json.loads(answer.body)
            chosen = said.get("repositories")
            repositories = frozenset(each["id"] for each in chosen) if chosen is not None else None
            self.world.tokens[said["token"]] = Access(
                f"{APP_SLUG}[bot]",
                repositories,
                {**said["permissions"], "metadata": "read"},
                datetime.fromisoformat(said["expires_at"]),
            )
        return answer

    def _git(self, request: Request, name: str, rest: str) -> Answer:
        repository = self.world.repositories.get(name)
        access = self.world.access(request.token)
        if access is None:
            return Answer(401, b"", [("WWW-Authenticate", 'Basic realm="GitHub"')])
        if repository is None or not access.allows(repository, "contents", "read"):
            raise Refused(404, "Not Found")
        said = serve_git(
            self._git_root,
            CgiRequest(
                request.method, f"/{name}.git{rest}", request.query, request.headers, request.body, access.login
            ),
        )
        return Answer(said.status, said.body, said.headers)


# --- HTTP -------------------------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    overlay: Overlay


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        # Small answers wait 40 ms for an acknowledgement otherwise.
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, parts.path, parts.query, self.headers, body)
        overlay = self.server.overlay
        is_storage = parts.path.startswith(STORAGE)
        answer = stored_artifact(overlay.world, request) if is_storage else overlay.answer(request)
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
