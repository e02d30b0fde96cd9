"""Mode 3 tells GitHub while GitHub stumbles: the deploy goes on, and nothing is told twice or left half told."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from action.http_calls import Http
from action.runner import Runner
from action.summary import Result
from action.telling import Telling
from tests.action.apps import put_app
from tests.action.conftest import COMMIT, pull_request
from tests.action.runner_commands import Heard, lines_of
from tests.action.test_workflow import workflow

Answer = tuple[int, dict[str, str], Any]
START = Result("notes", "pr-7", "started", COMMIT, "https://github.com/acme/notes")


class StumblingGitHub:
    """As much of GitHub's API as is told, with answers that the real one gives on bad days. `asked` are the calls."""

    def __init__(self, answer: Callable[[str, str], Answer]) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        github = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                path = self.path.partition("?")[0].removeprefix("/repos/acme/notes")
                github.asked.append((self.command, path, json.loads(body or b"{}")))
                status, headers, said = answer(self.command, path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(json.dumps(said).encode())

            do_POST = do_PATCH = do_GET

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def calls(self, method: str) -> list[str]:
        return [path for asked, path, _ in self.asked if asked == method]


@pytest.fixture
def github() -> Iterator[Callable[..., StumblingGitHub]]:
    made: list[StumblingGitHub] = []

    def make(answer: Callable[[str, str], Answer]) -> StumblingGitHub:
        made.append(StumblingGitHub(answer))
        threading.Thread(target=made[-1].server.serve_forever, args=(0.02,), daemon=True).start()
        return made[-1]

    yield make
    for each in made:
        each.server.shutdown()
        each.server.server_close()


def told(tmp_path: Path, api: str) -> Heard:
    """Tell of a deploy from its beginning to its end; return what the runner hears."""
    out = io.StringIO()
    about = workflow(tmp_path, pull_request(), "pull_request", "refs/pull/7/merge", api)
    telling = Telling(about, "token", Runner({}, out), tmp_path / "told.json", Http(wait=lambda _: None))
    telling.begin(START)
    telling.end(START, ("*",))
    heard = Heard()
    for line in lines_of(out.getvalue()):
        heard.take(line)
    return heard


def test_a_github_that_is_away_stops_no_deploy(tmp_path: Path):
    heard = told(tmp_path, "http://127.0.0.1:9")
    assert {level for level, _, _ in heard.annotations} == {"warning"}


def test_who_cannot_see_the_comments_makes_no_second_one(tmp_path: Path, github):
    far = github(lambda method, path: (500, {}, {}) if path.endswith("/comments") else (201, {}, {"id": 1}))
    told(tmp_path, far.url)
    assert far.calls("POST") == ["/check-runs"]


def test_a_limit_is_no_lack_of_permission(tmp_path: Path, github):
    far = github(lambda method, path: (403, {"Retry-After": "60"}, {"message": "You have exceeded a secondary limit"}))
    heard = told(tmp_path, far.url)
    assert heard.annotations
    assert not any("permissions" in said for _, _, said in heard.annotations)


def test_a_check_run_that_was_being_made_is_ended(job, github):
    begun = threading.Event()

    def answer(method: str, path: str) -> Answer:
        if (method, path) == ("POST", "/check-runs"):
            begun.set()
            time.sleep(1)
        return 200, {}, [] if method == "GET" else {"id": 5}

    far = github(answer)
    here = job(github={"api_url": far.url})
    put_app(here.workspace)
    working = threading.Thread(target=here.use)
    working.start()
    assert begun.wait(60)
    here.cancel()
    working.join(30)
    assert "/check-runs/5" in far.calls("PATCH")
    assert [body["conclusion"] for method, path, body in far.asked if path == "/check-runs/5"] == ["cancelled"]
