"""A GitHub that does not answer keeps those waiting who ask for it, and nobody else."""

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from demo.github.world import new_private_key
from service.asgi import FLASK_THREADS
from service.settings import Settings
from tests.service.test_front_door import serve
from tests.service.webhooks.deliveries import SECRET, URL, Sent

ASKING = 3 * FLASK_THREADS
PATIENT_SECONDS = 2


@pytest.fixture
def silent_github() -> Iterator[str]:
    """A GitHub that takes connections and says nothing, until the test is over."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=4 * ASKING)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_webhooks_and_health_checks_are_answered_while_everybody_else_waits_for_github(
    silent_github: str, tmp_path: Path, sqlite_template: Path
) -> None:
    shutil.copy(sqlite_template, tmp_path / "stagedoor.sqlite")
    settings = Settings(
        data_dir=tmp_path,
        github_app_id=1,
        github_private_key=new_private_key(),
        github_webhook_secrets=SECRET,
        github_api_url=silent_github,
        github_web_url=silent_github,
    )
    server, thread, url = serve(settings)
    waiting = [threading.Thread(target=_log_in, args=(url,), daemon=True) for _ in range(ASKING)]
    try:
        for one in waiting:
            one.start()
        time.sleep(0.5)
        sent = Sent("ping", {"zen": "Keep it logically awesome."})
        for method, path, status in (("GET", "/healthz", 200), ("GET", "/readyz", 200), ("POST", URL, 202)):
            began = time.monotonic()
            answer = requests.request(method, url + path, data=sent.body, headers=sent.headers(), timeout=20)
            assert (answer.status_code, time.monotonic() - began < PATIENT_SECONDS) == (status, True), path
        assert all(one.is_alive() for one in waiting), "they did wait"
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


def _log_in(url: str) -> None:
    requests.post(f"{url}/api/v1/login", timeout=60)
