"""The scripted account behind CloudFormation's query protocol, on a loopback port.

A `Gate` stops the first call of an action, before or after it took effect, until it is opened: so a process can be
killed or frozen exactly between a call and its answer.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from tests.cloudformation.account import ACCOUNT, Refused, ScriptedAccount

_READS = ("Get", "List", "Describe")


@dataclass
class Gate:
    """Holds one call up. `reached` is set when the call is there; `opened` lets it go on."""

    action: str
    after: bool = False
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float = 20.0) -> None:
        """Wait until the call is there."""
        assert self.reached.wait(seconds), f"{self.action} was never called"


class ScriptedCloudFormation:
    """A running endpoint; `account` is what it answers from, `calls` what it was asked, in order."""

    def __init__(self, account: ScriptedAccount | None = None) -> None:
        self.account = account or ScriptedAccount()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._gates: list[Gate] = []
        self._lock = threading.Lock()
        self._called = threading.Condition(self._lock)
        handler = type("Handler", (_Handler,), {"endpoint": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for gate in self._gates:
            gate.opened.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """Return the environment with which an AWS SDK speaks to this endpoint."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "scripted",
            "AWS_SECRET_ACCESS_KEY": "scripted",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def gate(self, action: str, *, after: bool = False) -> Gate:
        """Stop the next call of `action`, before it takes effect or after."""
        gate = Gate(action, after)
        with self._lock:
            self._gates.append(gate)
        return gate

    def changes(self, *actions: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the changing calls so far, of these actions if any are named."""
        with self._lock:
            return [call for call in self.calls if (call[0] in actions if actions else not call[0].startswith(_READS))]

    def await_call(self, action: str, count: int = 1, seconds: float = 20.0) -> None:
        """Wait until `action` was called so many times."""
        with self._called:
            enough = self._called.wait_for(lambda: sum(call[0] == action for call in self.calls) >= count, seconds)
        assert enough, f"{action} was not called {count} times"

    def answer(self, call: dict[str, Any]) -> dict[str, Any]:
        """Answer a call, held up by a gate if there is one."""
        action = call.pop("Action")
        gate = self._gate_for(action)
        if gate and not gate.after:
            gate.reached.set()
            gate.opened.wait(60)
        with self._called:
            self.calls.append((action, call))
            self._called.notify_all()
            result = self._method(action)(call)
        if gate and gate.after:
            gate.reached.set()
            gate.opened.wait(60)
        return result

    def _gate_for(self, action: str) -> Gate | None:
        with self._lock:
            for gate in self._gates:
                if gate.action == action and not gate.reached.is_set():
                    self._gates.remove(gate)
                    return gate
        return None

    def _method(self, action: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        if action == "GetCallerIdentity":
            return lambda _: {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root", "UserId": ACCOUNT}
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()
        method = getattr(self.account, name, None)
        if method is None:
            raise Refused("InvalidAction", f"Could not find operation {action}")
        return method  # type: ignore[no-any-return]


class _Handler(BaseHTTPRequestHandler):
    endpoint: ScriptedCloudFormation
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the acknowledgement of its own headers

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers.get("X-Amz-Target") == "AmazonSSM.GetParametersByPath":
            self._send(200, '{"Parameters": []}', "application/x-amz-json-1.1")  # nothing was ever hotswapped here
            return
        call = structured(parse_qsl(body, keep_blank_values=True))
        action = call["Action"]
        try:
            result = self.endpoint.answer(call)
        except Refused as refusal:
            error = {"Type": "Sender", "Code": refusal.code, "Message": str(refusal)}
            self._send(400, f"<ErrorResponse>{as_xml({'Error': error, 'RequestId': '1'})}</ErrorResponse>")
        else:
            inner = f"<{action}Result>{as_xml(result)}</{action}Result>"
            self._send(200, f"<{action}Response>{inner}</{action}Response>")

    def _send(self, status: int, text: str, kind: str = "text/xml") -> None:
        body = text.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # whoever asked was killed meanwhile

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def structured(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Return a call's parameters with lists put together (`Tags.member.1.Key=…`)."""
    call: dict[str, Any] = {}
    for key, value in pairs:
        found = re.match(r"^(\w+)\.member\.(\d+)(?:\.(\w+))?$", key)
        if found is None:
            call[key] = value
            continue
        name, place, inner = found[1], int(found[2]), found[3]
        members = call.setdefault(name, [])
        while len(members) < place:
            members.append({})
        if inner:
            members[place - 1][inner] = value
        else:
            members[place - 1] = value
    return {key: [] if value == "" and key in ("Tags", "Parameters") else value for key, value in call.items()}


def as_xml(value: Any) -> str:
    """Return a value as the query protocol writes it."""
    if isinstance(value, dict):
        return "".join(f"<{key}>{as_xml(inner)}</{key}>" for key, inner in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{as_xml(inner)}</member>" for inner in value)
    return escape(str(value))
