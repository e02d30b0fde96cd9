"""Requests whose head does not end, as bytes on a socket of a service as it is served."""

import base64
import http.client
import os
import shutil
import socket
import time
from contextlib import closing

import pytest

from service.bounded_http import LARGEST_HEAD_BYTES
from service.settings import Settings
from tests.service.test_front_door import NEEDED, serve

HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = b"POST /webhooks/github HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECE = 16 * 1024
MOST_SENT = 32 * LARGEST_HEAD_BYTES


@pytest.fixture(scope="module")
def address(tmp_path_factory, sqlite_template):
    folder = tmp_path_factory.mktemp("door")
    shutil.copy(sqlite_template, folder / "stagedoor.sqlite")
    server, thread, url = serve(Settings(data_dir=folder, **NEEDED))
    host, _, port = url.removeprefix("http://").partition(":")
    yield host, int(port)
    server.should_exit = True
    thread.join()


@pytest.fixture
def connection(address):
    with closing(socket.create_connection(address, timeout=20)) as made:
        yield made


@pytest.fixture
def answers(connection):
    with connection.makefile("rb") as said:
        yield said


def answer(answers):
    """Return status and body of the next answer."""
    status = int(answers.readline().split()[1])
    headers = http.client.parse_headers(answers)
    return status, answers.read(int(headers["Content-Length"]))


def send_on_and_on(connection, begin, more):
    """Send what does not end, up to 2 MB of it."""
    connection.sendall(begin)
    for _ in range(MOST_SENT // PIECE):
        connection.sendall(more * (PIECE // len(more)))
        time.sleep(0.001)  # or it would all be on its way before the connection is closed


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (HEAD + b"X-A: ", b"a"),
        (HEAD, b"X-A: a\r\n"),
        (b"GET /", b"a"),
        (b"", b"\r\n"),
        (CHUNKED + b"5\r\nhello\r\n0\r\nX-A: ", b"a"),  # after the body
        (CHUNKED + b"5;x=", b"a"),  # what a chunk may be said of
    ],
    ids=["one header", "many headers", "the URL", "empty lines", "trailers", "a chunk's extension"],
)
def test_what_does_not_end_is_given_up(connection, begin, more):
    with pytest.raises(ConnectionError):
        send_on_and_on(connection, begin, more)


def test_who_is_given_up_is_told_why(connection, answers):
    connection.sendall(HEAD + b"X-A: " + b"a" * (LARGEST_HEAD_BYTES - len(HEAD)))
    assert answer(answers) == (400, b"The head of the request is too large.")
    assert answers.read() == b""


def test_a_connection_is_of_use_for_more_heads_than_one_may_be_long(connection, answers):
    header = b"X-A: " + b"a" * (LARGEST_HEAD_BYTES // 2) + b"\r\n\r\n"
    for _ in range(4):
        connection.sendall(HEAD + header)
        assert answer(answers) == (200, b'{"status":"ok"}\n')
    connection.sendall((HEAD + b"\r\n") * 3)  # not waiting for answers
    assert [answer(answers)[0] for _ in range(3)] == [200] * 3


def test_a_body_may_be_longer_than_a_head(connection, answers):
    size = 4 * LARGEST_HEAD_BYTES
    connection.sendall(b"POST /webhooks/github HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"a" * size)
    assert answer(answers)[0] == 401
    half = b"%x\r\n" % (size // 2) + b"a" * (size // 2) + b"\r\n"
    connection.sendall(CHUNKED + half + half + b"0\r\nX-A: a\r\n\r\n")
    assert answer(answers)[0] == 401


def test_a_tunnel_is_asked_for_as_before(connection, answers):
    """What goes through one is in tests/service/relay, by the same server."""
    wanted = b"GET /live/tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    key = base64.b64encode(os.urandom(16))
    connection.sendall(wanted + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n")
    assert answer(answers) == (401, b"the stage token is no good")
