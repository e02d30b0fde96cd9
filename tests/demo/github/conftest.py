"""A local GitHub with a repository, and somebody who takes its webhooks."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from demo.github.server import LocalGitHub
from demo.github.world import LocalRepository


@dataclass
class Receiver:
    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Takes webhooks and answers 202."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append((dict(self.headers.items()), body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/webhooks/github"
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def github(receiver: Receiver) -> Iterator[LocalGitHub]:
    with LocalGitHub(receiver.url) as running:
        yield running


@pytest.fixture
def notes(github: LocalGitHub, tmp_path: Path) -> LocalRepository:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "app.py").write_text("answer = 1\n")
    (folder / ".gitignore").write_text("cdk.out/\n")
    (folder / "cdk.out").mkdir()
    (folder / "cdk.out" / "manifest.json").write_text("{}")
    return github.create_repository("acme/notes", folder)
