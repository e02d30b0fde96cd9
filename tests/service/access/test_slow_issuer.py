"""An issuer that answers drop by drop, or not at all: nobody waits for it longer than was agreed, and it is said."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event, Thread

import pytest

from service.access.callers import Callers
from service.access.errors import GitHubAway
from service.access.signing_keys import KeysUnavailable, SigningKeys, fetch_keys
from tests.oidc_issuer import OidcIssuer
from tests.service.access.conftest import World
from tests.service.access.test_signing_keys import Clock

AGREED_SECONDS = 1.0
DROP_SECONDS = 0.05


class Dripping:
    """A web server that sends an answer byte by byte; `opened` is how many connections it was asked by."""

    def __init__(self) -> None:
        self.opened = 0
        self._over = Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.opened += 1
                Thread(target=self._drip, args=(connection,), daemon=True).start()

    def _drip(self, connection: socket.socket) -> None:
        body = json.dumps({"issuer": self.url, "padding": "x" * 4000})
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with suppress(OSError), connection:
            connection.recv(4096)
            connection.sendall(head.encode())
            for letter in body:
                if self._over.wait(DROP_SECONDS):
                    return
                connection.sendall(letter.encode())


@pytest.fixture
def dripping(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dripping]:
    monkeypatch.setattr("service.access.signing_keys._DEADLINE_SECONDS", AGREED_SECONDS)
    server = Dripping()
    yield server
    server.close()


def test_an_answer_that_comes_drop_by_drop_is_given_up_in_time(dripping: Dripping) -> None:
    began = time.monotonic()
    with pytest.raises(KeysUnavailable, match="too slow"):
        fetch_keys(dripping.url)
    assert time.monotonic() - began < 2 * AGREED_SECONDS


def test_who_has_a_key_that_is_believed_does_not_wait_for_newer_ones(issuer: OidcIssuer) -> None:
    clock, asked, let_go = Clock(), Event(), Event()

    def fetch(url: str):
        keys = fetch_keys(url)
        if clock.now > 2000:
            asked.set()
            let_go.wait(20)
        return keys

    keys = SigningKeys(issuer.url, fetch, clock)
    assert keys.get(issuer.key_id) is not None
    clock.now += 3600
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(keys.get, issuer.key_id)
        assert asked.wait(10)
        try:
            began = time.monotonic()
            assert keys.get(issuer.key_id) is not None
            assert time.monotonic() - began < 1
        finally:
            let_go.set()
        assert renewing.result() is not None


def test_a_job_is_told_to_come_again_while_no_keys_can_be_had(world: World) -> None:
    world.issuer.broken = True
    for _ in range(3):
        with pytest.raises(GitHubAway):
            world.exchange(world.token())
    assert world.issuer.jwks_fetches == 0
    assert world.log.refusals == []
    world.issuer.broken = False
    assert Callers.of(world.parts).exchange(world.token(), {"command": "deploy"})["stage"] == "main"
