"""Logging in at a service that stumbles: whoever has entered the code need not do so again."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from stagedoor.cli import stagedoor
from stagedoor.cli.service import Logins

BEGUN = {"device_code": "d", "user_code": "AB-CD", "verification_uri": "https://github.com/login/device"}


@pytest.fixture
def answers() -> list[tuple[int, dict[str, object]]]:
    return [(200, {**BEGUN, "interval": 0, "expires_in": 60})]


@pytest.fixture
def url(answers: list[tuple[int, dict[str, object]]]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, document = answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_login_outlives_a_service_that_is_busy_or_away_for_a_while(
    url: str,
    answers: list[tuple[int, dict[str, object]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda _: None)
    said: dict[str, object] = {"id": "too-many-requests", "what": "Too many.", "remedy": "Wait."}
    answers += [(202, {"wait": 0}), (429, said), (503, {}), (200, {"token": "t", "login": "mona"})]
    typed = CliRunner().invoke(stagedoor, ["login", "--server", url], standalone_mode=False)
    assert typed.exit_code == 0, typed.output
    assert Logins.of_user().read()[url]["login"] == "mona"


def test_a_login_that_is_refused_ends(
    url: str, answers: list[tuple[int, dict[str, object]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda _: None)
    answers += [(403, {"id": "login-failed", "what": "Somebody said no.", "remedy": "Try again."})]
    typed = CliRunner().invoke(stagedoor, ["login", "--server", url], standalone_mode=False)
    assert typed.exit_code == 1
    assert "Somebody said no." in typed.output
