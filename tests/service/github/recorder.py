"""A proxy in front of the local GitHub: it remembers every call, and breaks those that a test wants broken."""

import http.client
import socket
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self
from urllib.parse import urlsplit

DROP_ANSWER = "drop the answer"


@dataclass
class Call:
    method: str
    path: str
    status: int = 0
    violations: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Fault:
    """The next `times` calls of this method whose path ends so go wrong."""

    method: str
    ending: str
    how: int | str  # DROP_ANSWER: GitHub has done it, and nobody hears of that. A status: GitHub has not done it.
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"message": "broken by the test"}'


class Recorder:
    def __init__(self, upstream: str, github: str = "") -> None:
        self.upstream = urlsplit(upstream)
        self.github = github or upstream  # what links in answers begin with; they are to lead here again
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.recorder = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fault(self, call: Call) -> Fault | None:
        for fault in self.faults:
            if fault.times and fault.method == call.method and call.path.partition("?")[0].endswith(fault.ending):
                fault.times -= 1
                return fault
        return None

    def writes(self) -> list[str]:
        """What was asked to change, tokens aside."""
        return [str(call) for call in self.calls if call.method != "GET" and not call.path.endswith("access_tokens")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        recorder: Recorder = self.server.recorder  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = Call(self.command, self.path)
        recorder.calls.append(call)
        fault = recorder.fault(call)
        if fault and isinstance(fault.how, int):
            call.status = fault.how
            return self._answer(fault.how, list(fault.headers.items()), fault.body)
        upstream = http.client.HTTPConnection(recorder.upstream.hostname or "", recorder.upstream.port, timeout=30)
        try:
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}
            }
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        content = content.replace(recorder.github.encode(), recorder.url.encode())
        answered = [(name, value.replace(recorder.github, recorder.url)) for name, value in answer.getheaders()]
        call.status = answer.status
        call.violations = answer.getheader("sl-violations") or ""
        if fault:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return None
        return self._answer(answer.status, answered, content)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve

    def log_message(self, *_arguments: object) -> None:
        pass
