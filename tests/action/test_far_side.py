"""Addresses that are none, and services that are none: each is said at once, in words that help."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from action.inputs import Inputs
from action.refusal import Refused


@pytest.mark.parametrize(
    "server",
    [
        "http://127.0.0.1:99999",
        "http://127.0.0.1:abc",
        "https://:secret@stages.example.com",
        "https://me@stages.example.com",
        "https://stages.example.com/a b",
        "https://stages.example.com/a\nb",
        "https://stages.example.com/é",
        "https://stages.example.com/?a",
        "https://",
        "http://127.0.0.1.example.com",
    ],
)
def test_an_address_that_is_none_is_refused_before_it_is_asked(server: str):
    with pytest.raises(Refused) as refused:
        Inputs.of({"INPUT_SERVER": server})
    assert refused.value.id == "invalid-input"


@pytest.mark.parametrize(
    "server", ["https://stages.example.com", "https://x.test:8443/stagedoor", "http://[::1]:8080", "http://localhost"]
)
def test_an_address_is_taken_as_it_is(server: str):
    assert Inputs.of({"INPUT_SERVER": f" {server}/ "}).server == server


@pytest.fixture
def login_page() -> Iterator[str]:
    """A server that gives a job its identity, and shows a page to whoever asks for anything else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            identity = self.path.startswith("/identity")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"value": "ey.an.identity"}).encode() if identity else b"<html>Sign in</html>")

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_page_that_says_yes_to_everything_is_no_service(job, login_page: str):
    identity = {"ACTIONS_ID_TOKEN_REQUEST_URL": f"{login_page}/identity", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"}
    here = job(tokens=identity)
    assert not here.use(server=login_page, timeout="0.1")
    assert here.errors[0].startswith("What answers at `server` gave this job no token.")
