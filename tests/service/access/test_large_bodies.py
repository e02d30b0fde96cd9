"""What somebody sends before they are known costs the service a bounded share of its memory."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message

from service.flask_threads import FlaskThreads

MB = 1024 * 1024
PART = bytes(MB)
STRANGERS, EACH = 60, 24
ROOM = 100 * MB


def counts_bytes(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    return [str(len(environ["wsgi.input"].read())).encode()]


class Sender:
    """Sends so many parts of a megabyte, or one small part, and then says nothing; it ends its body if it is honest."""

    def __init__(self, parts: int, *, part: bytes = PART, ends: bool = False) -> None:
        self.taken = 0
        self.said: list[Message] = []
        self._parts, self._part, self._ends = parts, part, ends

    async def receive(self) -> Message:
        await asyncio.sleep(0)
        if self.taken == self._parts * len(self._part):
            await asyncio.Event().wait()
        self.taken += len(self._part)
        is_last = self._ends and self.taken == self._parts * len(self._part)
        return {"type": "http.request", "body": self._part, "more_body": not is_last}

    async def send(self, message: Message) -> None:
        self.said.append(message)

    async def through(self, door: FlaskThreads) -> tuple[int, bytes]:
        scope = {"type": "http", "method": "POST", "path": "/webhooks/github", "headers": [], "query_string": b""}
        more = {"http_version": "1.1", "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "scheme": "http"}
        await door({**scope, **more}, self.receive, self.send)
        return self.said[0]["status"], self.said[1]["body"]


def test_strangers_who_send_much_at_once_fill_no_memory_and_keep_no_webhook_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.flask_threads.BODY_SECONDS", 1.0)

    async def play() -> None:
        door = FlaskThreads(counts_bytes, 25 * MB, threads=2, room=ROOM)
        strangers = [Sender(EACH) for _ in range(STRANGERS)]
        sending = [asyncio.create_task(one.through(door)) for one in strangers]
        await asyncio.sleep(0.3)
        held = sum(one.taken for one, task in zip(strangers, sending, strict=True) if not task.done())
        assert held < ROOM + STRANGERS * MB
        usual = Sender(1, part=bytes(50_000), ends=True)
        assert await usual.through(door) == (200, b"50000")
        assert {status for status, _ in await asyncio.gather(*sending)} == {408, 503}
        assert await Sender(EACH, ends=True).through(door) == (200, str(EACH * MB).encode())

    asyncio.run(play())
