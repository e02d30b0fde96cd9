"""What a worker's Runtime API understands of HTTP, however it is cut into pieces."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from stagedoor.live import event_loop
from stagedoor.live.workers.http_connection import HttpConnection, Request

Run = Callable[[Coroutine[Any, Any, None]], None]
REQUESTS = (
    b"GET /next?x=1 HTTP/1.1\r\nHost: here\r\n\r\n"
    b"POST /response HTTP/1.1\r\nhost: here\r\nContent-Length: 5\r\nX-Cause: \xc3\xa9\r\n\r\nhello"
    b"POST /stream HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n"
    b"5\r\nhello\r\n7;extension=1\r\n, world\r\n0\r\nA: b\r\n\r\n"
    b"POST /large HTTP/1.1\r\nContent-Length: 30\r\n\r\n"
    + b"x"
    * 30
    + b"POST /empty HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"
)
SERVED = [
    ["GET", "/next", None, ""],
    ["POST", "/response", "Ã©", "hello"],
    ["POST", "/stream", None, "hello, world"],
    ["POST", "/large", None, None],
    ["POST", "/empty", None, ""],
    ["GET", "/last", None, ""],
]


async def _exchanged(pieces: list[bytes], *, later: bool = False) -> list[bytes]:
    """Return what came back, split at its heads; `later`: each is answered in another turn of the loop."""

    def serve(request: Request) -> None:
        body = None if request.body is None else request.body.decode()
        said = json.dumps([request.method, request.path, request.headers.get("x-cause"), body]).encode()
        if later:
            asyncio.get_running_loop().call_soon(request.answer, 200, {"Content-Type": "a/b\r\nX: y"}, said)
        else:
            request.answer(200, {"Content-Type": "a/b\r\nX: y"}, said)

    server = await asyncio.get_running_loop().create_server(
        lambda: HttpConnection(serve, lambda _: None, 20), "127.0.0.1", 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        answers = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    return answers.split(b"HTTP/1.1 ")[1:]


@pytest.mark.parametrize("run", [asyncio.run, event_loop.run])
@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("size", [1, 3, 17, 1000])
def test_requests_are_taken_apart_however_they_come(
    size: int, later: bool, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    pieces = [REQUESTS[start : start + size] for start in range(0, len(REQUESTS), size)]

    async def story() -> None:
        answers = await _exchanged(pieces, later=later)
        assert [json.loads(answer.partition(b"\r\n\r\n")[2]) for answer in answers] == SERVED
        assert all(b"\r\nX: y" not in answer for answer in answers)

    run(story())


@pytest.mark.parametrize(
    "nonsense",
    [
        b"hello\r\n\r\n",
        b"GET / SPDY/3\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_ends_the_connection(nonsense: bytes) -> None:
    assert [answer[:3] for answer in asyncio.run(_exchanged([nonsense]))] == [b"400"]


def test_one_that_waits_to_be_told_to_go_on_is_told() -> None:
    pieces = [b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 2\r\n\r\n", b"ab"]
    assert [answer[:3] for answer in asyncio.run(_exchanged(pieces))] == [b"100", b"200"]
