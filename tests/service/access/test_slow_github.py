"""A GitHub that does not answer keeps those waiting who ask for it, and nobody else."""

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from demo.github.world import new_private_key
from service.access.tokens import LoginToken, StageToken, Tokens
from service.api.access import still_permitted
from service.asgi import FLASK_THREADS
from service.models import GitHubHost
from service.parts import make_parts
from service.settings import Settings
from tests.service.rows import add_stage
from tests.service.test_front_door import serve
from tests.service.webhooks.deliveries import SECRET, URL, Sent

ASKING = 3 * FLASK_THREADS
PATIENT_SECONDS = 2


@pytest.fixture
def settings(tmp_path: Path, sqlite_template: Path) -> Iterator[Settings]:
    """Those of a service whose GitHub takes connections and says nothing, until the test is over."""
    shutil.copy(sqlite_template, tmp_path / "stagedoor.sqlite")
    with closing(socket.create_server(("127.0.0.1", 0), backlog=4 * ASKING)) as listener:
        silent = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Settings(
            data_dir=tmp_path,
            github_app_id=1,
            github_private_key=new_private_key(),
            github_webhook_secrets=SECRET,
            github_api_url=silent,
            github_web_url=silent,
        )


@pytest.fixture
def login(settings: Settings) -> LoginToken:
    return LoginToken("mona", 102, settings.github_web_url.removeprefix("http://"))


@pytest.fixture
def stage_id(settings: Settings, login: LoginToken) -> int:
    """A stage of a repository of that GitHub."""
    with make_parts(settings).sessions.begin() as session:
        stage = add_stage(session)
        url = settings.github_api_url
        stage.app.repository.host = GitHubHost(name=login.host, api_url=url, web_url=url)
        return stage.id


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    server, thread, where = serve(settings)
    yield where
    server.should_exit = server.force_exit = True
    thread.join()


def all_at_once(ask: Callable[[int], None]) -> list[threading.Thread]:
    """Have many ask at the same time, and return them when all wait."""
    asking = [threading.Thread(target=ask, args=(number,), daemon=True) for number in range(ASKING)]
    for one in asking:
        one.start()
    time.sleep(0.5)
    return asking


def test_webhooks_and_health_checks_are_answered_while_everybody_else_waits_for_github(url: str) -> None:
    def log_in(number: int) -> None:
        requests.post(f"{url}/api/v1/login", headers={"X-Forwarded-For": f"203.0.113.{number}"}, timeout=60)

    waiting = all_at_once(log_in)
    sent = Sent("ping", {"zen": "Keep it logically awesome."})
    for method, path, status in (("GET", "/healthz", 200), ("GET", "/readyz", 200), ("POST", URL, 202)):
        began = time.monotonic()
        answer = requests.request(method, url + path, data=sent.body, headers=sent.headers(), timeout=20)
        assert (answer.status_code, time.monotonic() - began < PATIENT_SECONDS) == (status, True), path
    assert all(one.is_alive() for one in waiting), "they did wait"


def test_one_address_has_not_all_threads_of_the_api(
    url: str, settings: Settings, login: LoginToken, stage_id: int
) -> None:
    headers = {"Authorization": f"Bearer {Tokens.of(settings).mint(login)}"}

    def look(_number: int) -> None:
        requests.get(f"{url}/api/v1/stages/{stage_id}", headers=headers, timeout=60)

    waiting = all_at_once(look)
    began = time.monotonic()
    elsewhere = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
    assert requests.get(f"{url}/api/v1/openapi.json", headers=elsewhere, timeout=20).status_code == 200
    assert time.monotonic() - began < PATIENT_SECONDS
    assert all(one.is_alive() for one in waiting), "they did wait"


def test_pages_streams_go_on_while_those_of_the_api_wait_for_github(
    url: str, settings: Settings, login: LoginToken, stage_id: int
) -> None:
    headers = {"Authorization": f"Bearer {Tokens.of(settings).mint(login)}"}

    def follow(_number: int) -> None:
        requests.get(f"{url}/api/v1/stages/{stage_id}/stream", headers=headers, timeout=60)

    waiting = all_at_once(follow)
    began = time.monotonic()
    assert requests.get(f"{url}/runs/999/events", timeout=20).text == "no such run"
    assert time.monotonic() - began < PATIENT_SECONDS
    assert all(one.is_alive() for one in waiting), "they did wait"


def test_nor_does_a_relay_that_asks_whether_agents_may_stay_keep_its_rows_waiting(
    settings: Settings, login: LoginToken, stage_id: int
) -> None:
    async def ask() -> None:
        may = still_permitted(make_parts(settings))
        claims = StageToken(stage_id, login.login, login.user_id, login.host)
        renewals = [asyncio.ensure_future(may(claims)) for _ in range(ASKING)]
        await asyncio.sleep(0.5)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "a row"), PATIENT_SECONDS)
        assert not any(one.done() for one in renewals), "they did wait"
        for one in renewals:
            one.cancel()

    asyncio.run(ask())
