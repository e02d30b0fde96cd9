"""The local GitHub's one port: what the emulator lacks is answered here, the rest is handed on to it.

Every answer that names a commit comes from the git repository; every token is checked for the repository and the
permission that GitHub asks for.
"""

import base64
import http.client
import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from demo.github.git_repository import NothingThere
from demo.github.smart_http import CgiRequest, serve_git
from demo.github.world import APP_SLUG, Access, LocalRepository, World

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request."""

    method: str
    path: str
    query: str
    headers: Any
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        return dict(json.loads(self.body or b"{}"))

    def parameter(self, name: str) -> str | None:
        """Return a parameter of the query."""
        return parse_qs(self.query).get(name, [None])[0]

    @property
    def token(self) -> str:
        """The token that the request carries, whichever way."""
        kind, _, value = (self.headers.get("Authorization") or "").partition(" ")
        if kind.lower() == "basic":
            return base64.b64decode(value).decode().rpartition(":")[2]
        return str(value.strip())


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = _json(status, {"message": message, "documentation_url": "https://docs.github.com/rest"})


def _json(status: int, value: object) -> Answer:
    return Answer(status, json.dumps(value).encode(), [("Content-Type", "application/json; charset=utf-8")])


Route = Callable[["Overlay", Request, LocalRepository, Access, dict[str, str]], Answer]
_ROUTES: list[tuple[str, re.Pattern[str], str, str, Route]] = []


def _route(method: str, pattern: str, permission: str, level: str = "read") -> Callable[[Route], Route]:
    def register(function: Route) -> Route:
        _ROUTES.append((method, re.compile(pattern), permission, level, function))
        return function

    return register


class Overlay:
    """The HTTP server. `port` is known before the emulator starts, since its links are to lead here."""

    def __init__(self, git_root: Path) -> None:
        self._git_root = git_root
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.overlay = self
        self.port = int(self._server.server_address[1])
        self.emulator_port = 0
        self.world: World

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
            if found := re.fullmatch(r"/repos/([^/]+/[^/]+)(/.*)", request.path):
                return self._repository(request, found[1], found[2])
            if re.fullmatch(r"/app/installations/\d+/access_tokens", request.path):
                return self._token(request)
            return self.forward(request)
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
        for method, pattern, permission, level, function in _ROUTES:
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
        """Say which App wrote a comment or a check run, which the emulator does not."""
        if answer.status >= 300 or not answer.body.startswith((b"{", b"[")):
            return answer
        value = json.loads(answer.body)
        app = self.world.app
        for each in value if isinstance(value, list) else [value]:
            if "issue_url" in each and str((each.get("user") or {}).get("login", "")).endswith("[bot]"):
                each["performed_via_github_app"] = app
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


# --- What the git repository knows ------------------------------------------------------------------------------------


@_route("GET", r"/contents/(?P<path>.+)", "contents")
def _contents(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    ref = request.parameter("ref") or "main"
    content = repository.git.read(ref, parts["path"])
    if content is None:
        raise Refused(404, "Not Found")
    return _json(200, overlay.world.place.file(repository.full_name, parts["path"], ref, content))


@_route("GET", r"/branches/(?P<branch>.+)", "contents")
def _branch(
    overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    sha = repository.git.find(f"refs/heads/{parts['branch']}")
    if sha is None:
        raise Refused(404, "Branch not found")
    place = overlay.world.place
    api = f"{place.url}/repos/{repository.full_name}/branches/{parts['branch']}"
    branch = {
        "name": parts["branch"],
        "commit": place.commit(repository.full_name, repository.commit(sha)),
        "_links": {"self": api, "html": f"{place.url}/{repository.full_name}/tree/{parts['branch']}"},
        "protected": False,
        "protection": {"enabled": False},
        "protection_url": f"{api}/protection",
    }
    return _json(200, branch)


@_route("GET", r"/commits/(?P<ref>[^/]+)/check-runs", "checks")
def _check_runs(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    # The emulator lists the check runs only of commits that it made itself.
    sha = repository.git.resolve(parts["ref"])
    runs = [check_run(overlay, request, repository, number) for number in repository.check_runs.get(sha, [])]
    name = request.parameter("check_name")
    runs = [run for run in reversed(runs) if name is None or run["name"] == name]
    return _json(200, {"total_count": len(runs), "check_runs": runs})


def check_run(overlay: Overlay, request: Request, repository: LocalRepository, number: int) -> dict[str, Any]:
    """Return one check run as the emulator has it."""
    path = f"/repos/{repository.full_name}/check-runs/{number}"
    answer = overlay.forward(Request("GET", path, "", {"Authorization": request.headers["Authorization"]}, b""))
    run: dict[str, Any] = json.loads(answer.body)
    run["app"] = overlay.world.app
    run["pull_requests"] = overlay.world.pulls_of(repository, run["head_sha"])
    return run


@_route("GET", r"/check-runs/\d+/annotations", "checks")
def _annotations(
    overlay: Overlay, request: Request, _repository: LocalRepository, _access: Access, _parts: dict[str, str]
) -> Answer:
    # GitHub answers with the list itself.
    answer = overlay.forward(request)
    return _json(200, json.loads(answer.body)["check_annotations"]) if answer.status == 200 else answer


@_route("GET", r"/commits/(?P<ref>[^/]+)", "contents")
def _commit(
    overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    commit = repository.commit(repository.git.resolve(parts["ref"]))
    return _json(200, overlay.world.place.commit(repository.full_name, commit))


@_route("GET", r"/pulls/(?P<number>\d+)/files", "pull_requests")
def _files(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    pull = repository.pulls.get(int(parts["number"]))
    if pull is None:
        raise Refused(404, "Not Found")
    changes = repository.git.changes(pull.base_sha, pull.head_sha)
    size = int(request.parameter("per_page") or 30)
    start = (int(request.parameter("page") or 1) - 1) * size
    api = f"{overlay.world.place.url}/repos/{repository.full_name}"
    files = [
        {
            "sha": None,
            "filename": change.path,
            "status": change.status,
            "additions": 1,
            "deletions": 0,
            "changes": 1,
            "blob_url": f"{api}/blob/{pull.head_sha}/{change.path}",
            "raw_url": f"{api}/raw/{pull.head_sha}/{change.path}",
            "contents_url": f"{api}/contents/{change.path}?ref={pull.head_sha}",
        }
        for change in changes[start : start + size]
    ]
    more = start + size < len(changes)
    answer = _json(200, files)
    if more:
        page = int(request.parameter("page") or 1) + 1
        answer.headers.append(("Link", f'<{api}/pulls/{pull.number}/files?per_page={size}&page={page}>; rel="next"'))
    return answer


@_route("GET", r"/pulls/(?P<number>\d+)", "pull_requests")
def _pull(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    answer = overlay.forward(request)
    if answer.status != 200:
        return answer
    ends = overlay.world.pull_ends(repository, repository.pulls[int(parts["number"])])
    return _json(200, {**json.loads(answer.body), **ends})


# --- What the emulator lacks: deployments, environments, commit statuses ----------------------------------------------


@_route("POST", r"/deployments", "deployments", "write")
def _create_deployment(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, _parts: dict[str, str]
) -> Answer:
    wish = request.json
    sha = repository.git.find(wish["ref"])
    if sha is None:
        raise Refused(422, f"No ref found for: {wish['ref']}")
    made = repository.deployments.create(next(overlay.world.ids), sha, wish, overlay.world.bot)
    return _json(201, made)


@_route("GET", r"/deployments", "deployments")
def _list_deployments(
    _overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, _parts: dict[str, str]
) -> Answer:
    wanted = {key: value for key in ("sha", "ref", "task", "environment") if (value := request.parameter(key))}
    return _json(200, repository.deployments.matching(**wanted))


@_route("GET", r"/deployments/(?P<number>\d+)", "deployments")
def _get_deployment(
    _overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    found = repository.deployments.find(int(parts["number"]))
    if found is None:
        raise Refused(404, "Not Found")
    return _json(200, found)


@_route("POST", r"/deployments/(?P<number>\d+)/statuses", "deployments", "write")
def _create_deployment_status(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    number = int(parts["number"])
    if repository.deployments.find(number) is None:
        raise Refused(404, "Not Found")
    world = overlay.world
    return _json(201, repository.deployments.add_status(number, next(world.ids), request.json, world.bot))


@_route("GET", r"/deployments/(?P<number>\d+)/statuses", "deployments")
def _list_deployment_statuses(
    _overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    if repository.deployments.find(int(parts["number"])) is None:
        raise Refused(404, "Not Found")
    return _json(200, repository.deployments.statuses(int(parts["number"])))


@_route("GET", r"/environments", "actions")
def _environments(
    _overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, _parts: dict[str, str]
) -> Answer:
    found = repository.deployments.environments()
    return _json(200, {"total_count": len(found), "environments": found})


@_route("POST", r"/statuses/(?P<sha>[0-9a-f]{40})", "statuses", "write")
def _create_status(
    overlay: Overlay, request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    status = {"id": next(overlay.world.ids), "context": "default", "creator": overlay.world.bot, **request.json}
    repository.statuses.setdefault(parts["sha"], []).insert(0, status)
    return _json(201, status)


@_route("GET", r"/commits/(?P<ref>[^/]+)/statuses", "statuses")
def _list_statuses(
    _overlay: Overlay, _request: Request, repository: LocalRepository, _access: Access, parts: dict[str, str]
) -> Answer:
    return _json(200, repository.statuses.get(repository.git.resolve(parts["ref"]), []))


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
        answer = self.server.overlay.answer(Request(self.command, parts.path, parts.query, self.headers, body))
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - the names that http.server calls

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
