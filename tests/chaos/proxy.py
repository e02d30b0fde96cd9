"""A proxy before the local AWS that writes down every call and lets AWS's answers come late.

A call takes effect as soon as it is there; only its answer is held back. So a worker that is killed while it waits has
changed something without knowing it, which is the hard case. Changing calls go to AWS one after the other in the order
in which they came, so the order that is written down is the one in which they took effect, and no call of a worker that
was frozen meanwhile waits here and is overtaken by its successor's.
"""

import http.client
import random
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.chaos.record import READS, Call

_RUN = re.compile(r"stagedoor-run/(\d+) stagedoor-generation/(\d+)")
_SERVICE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")
_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_NOT_PASSED_ON = frozenset({"connection", "keep-alive", "transfer-encoding", "date", "server"})


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came, and what it asks (query protocol, JSON, or REST for S3)."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """The form, where the body is one."""
        found = {key: values[0] for key, values in parse_qs(self.body.decode(errors="replace")).items()}
        return found if "Action" in found else {}

    @property
    def operation(self) -> str:
        """The operation's name; for S3 the method as a word, and the path."""
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        return self.fields.get("Action") or target or f"{self.method.title()} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What AWS answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class RecordingProxy:
    """A running proxy. `calls` is what was asked so far; `reads` and `changes` bound the delays, in seconds.

    `after_call` is told of each call when AWS has carried it out and its caller does not know yet.
    """

    def __init__(
        self,
        aws: str,
        chance: random.Random,
        *,
        reads: tuple[float, float] = (0.005, 0.1),
        changes: tuple[float, float] = (0.05, 0.8),
    ) -> None:
        self._aws = urlsplit(aws)
        self._chance = chance
        self._delays = {False: reads, True: changes}
        self._one_by_one = ThreadPoolExecutor(1, "changes")
        self._connections = threading.local()
        self._stack_of: dict[str, str] = {}
        self.calls: list[Call] = []
        self.after_call: Callable[[Call], None] = lambda call: None
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._one_by_one.shutdown(cancel_futures=True)

    @property
    def endpoint(self) -> str:
        """The URL that `AWS_ENDPOINT_URL` takes."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def pass_on(self, request: Request) -> Answer:
        """Give a request to AWS, write it down, and return AWS's answer when its delay is over."""
        changes = not request.operation.startswith(READS)
        answer = self._one_by_one.submit(self._carry_out, request).result() if changes else self._carry_out(request)
        time.sleep(self._chance.uniform(*self._delays[changes]))
        return answer

    def _carry_out(self, request: Request) -> Answer:
        at = time.monotonic()
        answer = self._send(request)
        call = self._call(request, answer, at)
        self.calls.append(call)
        self.after_call(call)
        return answer

    def _send(self, request: Request) -> Answer:
        for attempt in (1, 2):
            connection = getattr(self._connections, "kept", None) or http.client.HTTPConnection(
                self._aws.hostname or "", self._aws.port, timeout=60
            )
            try:
                connection.request(request.method, request.path, request.body, dict(request.headers))
                response = connection.getresponse()
                answer = Answer(response.status, tuple(response.getheaders()), response.read())
            except (http.client.RemoteDisconnected, ConnectionError):
                connection.close()  # an idle connection that AWS has closed meanwhile
                self._connections.kept = None
                if attempt == 2:
                    raise
            except BaseException:
                # With an answer outstanding (a timeout) it would refuse every later call.
                connection.close()
                self._connections.kept = None
                raise
            else:
                self._connections.kept = connection
                return answer
        raise AssertionError

    def _call(self, request: Request, answer: Answer, at: float) -> Call:
        fields = request.fields
        service = _SERVICE.search(request.headers.get("Authorization", ""))
        who = _RUN.search(request.headers.get("User-Agent", ""))
        code = _CODE.search(answer.body) if answer.status >= 300 else None
        change_set = _name(fields.get("ChangeSetName", ""), "changeSet")
        stack = _name(fields.get("StackName", ""), "stack") or self._stack_of.get(change_set, "")
        if change_set and stack:
            self._stack_of[change_set] = stack
        return Call(
            at=at,
            until=time.monotonic(),
            service=service.group(1) if service else "",
            operation=request.operation,
            stack=stack,
            change_set=change_set,
            token=fields.get("ClientRequestToken", "") or fields.get("ClientToken", ""),
            run=int(who.group(1)) if who else 0,
            generation=int(who.group(2)) if who else 0,
            status=answer.status,
            error=code.group(1).decode() if code else "",
        )


def _name(text: str, kind: str) -> str:
    """Return the name in an ARN of this kind; a name is returned as it is."""
    return text.split(f":{kind}/", 1)[1].partition("/")[0] if f":{kind}/" in text else text


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of callers who were killed; what else goes wrong is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    proxy: RecordingProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED_ON}
        self._answer(self.proxy.pass_on(Request(self.command, self.path, headers, body)))

    def _answer(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            if name.lower() not in {*_NOT_PASSED_ON, "content-length"}:
                self.send_header(name, value)
        length = dict(answer.headers).get("content-length", "0") if self.command == "HEAD" else str(len(answer.body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""
