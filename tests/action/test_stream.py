"""How a stream is read, and what happens when the far side stumbles: each case by a server that does just that."""

import io
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from action.ask import _service
from action.http_calls import Http, backoff
from action.inputs import Inputs
from action.refusal import Refused
from action.runner import Runner
from action.service import Service, Token
from action.stream import Sent, follow, read

END = b'event: end\ndata: {"outcome": "succeeded"}\n\n'


class Stumbling:
    """A server whose answers are written down beforehand: status, headers and body, in their order."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.asked: list[tuple[str, dict[str, str]]] = []
        stumbling = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                stumbling.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                status, headers, body = stumbling.answers.pop(0)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def far() -> Iterator[Stumbling]:
    made = Stumbling()
    threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def service(far: Stumbling, lasts: float = 900) -> tuple[Service, list[str]]:
    minted: list[str] = []

    def exchange() -> dict[str, Any]:
        minted.append(f"token-{len(minted) + 1}")
        return {"token": minted[-1], "expires_in": lasts}

    return Service(far.url, Token(exchange, lambda _: None), Http(wait=lambda _: None)), minted


def test_events_are_read_by_the_rules():
    lines = (
        ": still here\n\nretry: 1000\n\nid: 1.0.1\nevent: log\ndata: {\"a\":\ndata: 1}\n\n"
        "data:{}\nunknown: x\n\nevent: lost\n\nid: a\0b\nevent: cut\ndata: {}"
    )  # fmt: skip
    assert list(read(line.encode() for line in lines.splitlines(keepends=True))) == [
        Sent("log", {"a": 1}, "1.0.1"),
        Sent("message", {}, "1.0.1"),
    ]


def test_what_breaks_off_is_taken_up_after_the_last_event(far: Stumbling):
    far.answers = [
        (200, {}, b"id: 1\nevent: log\ndata: {}\n\nid: 2\nevent: log\nda"),
        (503, {}, b""),
        (200, {}, b""),
        (200, {}, b"id: 2\nevent: log\ndata: {}\n\n" + END),
    ]
    asking, _ = service(far)
    sent = list(follow(asking, "/stages/1/stream", time.monotonic() + 30))
    assert [(each.kind, each.id) for each in sent] == [("log", "1"), ("log", "2"), ("end", "2")]
    assert [headers.get("last-event-id") for _, headers in far.asked] == [None, "1", "1", "1"]


def test_a_token_that_is_not_taken_any_more_is_renewed(far: Stumbling):
    far.answers = [(401, {}, b""), (200, {}, END), (401, {}, b"{}"), (200, {}, b'{"stages": []}')]
    asking, minted = service(far)
    assert [each.kind for each in follow(asking, "/stages/1/stream", time.monotonic() + 30)] == ["end"]
    assert asking.get("/stages") == {"stages": []}
    assert minted == ["token-1", "token-2", "token-3"]
    assert far.asked[-1][1]["authorization"] == "Bearer token-3"


def test_a_token_is_renewed_before_it_ends(far: Stumbling):
    far.answers = [(200, {}, b"{}")] * 2
    asking, minted = service(far, lasts=31)
    asking.get("/a")
    time.sleep(1.1)
    asking.get("/b")
    assert len(minted) == 2


def test_the_services_own_words_are_told(far: Stumbling):
    problem = {"type": "urn:x", "title": "No.", "status": 409, "id": "stage-protected", "what": "No.", "remedy": "Ask."}
    far.answers = [(409, {"Content-Type": "application/problem+json"}, json.dumps(problem).encode())] * 2
    asking, _ = service(far)
    with pytest.raises(Refused) as refused:
        asking.post("/stages/1/removals")
    assert (refused.value.id, str(refused.value)) == ("stage-protected", "No. Ask.")
    with pytest.raises(Refused) as refused:
        list(follow(asking, "/stages/1/stream", time.monotonic() + 30))
    assert refused.value.id == "stage-protected"


def test_a_redirect_takes_no_token_along(far: Stumbling):
    far.answers = [(302, {"Location": f"{far.url}/elsewhere"}, b"")]
    asking, _ = service(far)
    with pytest.raises(Refused):
        asking.get("/stages")
    assert len(far.asked) == 1


def test_what_is_passing_is_asked_again_when_the_server_says(far: Stumbling):
    waited: list[float] = []
    far.answers = [(429, {"Retry-After": "7"}, b""), (502, {}, b""), (200, {}, b'{"a": 1}')]
    assert Http(wait=waited.append).call("GET", far.url + "/x").document == {"a": 1}
    assert waited[0] == 7
    assert 0.2 < waited[1] < 0.6


def test_waiting_grows_and_has_an_end():
    assert [round(max(backoff(attempt) for _ in range(50)), 1) <= 15 for attempt in range(20)] == [True] * 20
    assert max(backoff(0) for _ in range(50)) < min(backoff(3) for _ in range(50))


def test_nobody_there_is_said(far: Stumbling):
    with pytest.raises(Refused) as refused:
        Http(wait=lambda _: None).call("GET", "http://127.0.0.1:9/x", attempts=2)
    assert refused.value.id == "no-service"
    assert "127.0.0.1:9 does not answer" in refused.value.what


def test_a_service_that_stays_away_is_given_up(far: Stumbling, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("action.stream.GIVE_UP_SECONDS", 0.5)
    far.answers = [(200, {}, b""), *[(503, {}, b"")] * 50]
    asking, _ = service(far)
    with pytest.raises(Refused) as refused:
        list(follow(asking, "/stages/1/stream", time.monotonic() + 30))
    assert refused.value.id == "no-service"
    assert 3 <= len(far.asked) < 20


def test_a_step_waits_only_so_long(far: Stumbling):
    far.answers = [(200, {}, b"")] * 50
    asking, _ = service(far)
    with pytest.raises(Refused) as refused:
        list(follow(asking, "/stages/1/stream", time.monotonic() + 0.3))
    assert refused.value.id == "timed-out"


@pytest.mark.parametrize(("status", "times", "good"), [(429, 9, True), (503, 4, True), (503, 9, False)])
def test_an_exchange_waits_out_too_many_others_and_not_for_ever_a_service_that_is_away(
    far: Stumbling, monkeypatch: pytest.MonkeyPatch, status: int, times: int, good: bool
):
    monkeypatch.setattr("action.ask.backoff", lambda _: 0.0)
    identity = (200, {}, b'{"value": "an.identity.token"}')
    far.answers = [*[identity, (status, {}, b"")] * times, identity, (200, {}, b'{"token": "t"}'), (200, {}, b"{}")]
    asked = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{far.url}/oidc?a=b", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"}
    inputs = Inputs.of({"INPUT_SERVER": far.url})
    asking = _service(inputs, asked, Runner({}, io.StringIO()), "pr-7")
    if good:
        asking.get("/stages")
        assert far.answers == []
        return
    with pytest.raises(Refused) as refused:
        asking.get("/stages")
    assert refused.value.id == "no-service"
