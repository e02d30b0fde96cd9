"""A front door with a relay on a free port, and a scripted bridge and agent that speak to it."""

import asyncio
import json
import shutil
import socket
import threading
import time
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import pytest
import uvicorn

from service.access.tokens import FunctionToken, StageToken, Tokens
from service.asgi import make_front_door
from service.database import make_engine, make_sessions
from service.relay.registry import LiveFunction, register
from service.settings import Settings
from stagedoor.live.frames import PROTOCOL, Frame, FrameType, chunks, credit_frame, decoded, head_frame, session_frame
from tests.service.rows import add_stage
from tests.service.test_front_door import NEEDED, serve

FUNCTION = "notes-list"


class Door:
    """A served front door. `stage_id` has the function FUNCTION."""

    def __init__(self, settings, url, stage_id):
        self.settings = settings
        self.url = url
        self.stage_id = stage_id
        self.tokens = Tokens.of(settings)

    def function_token(self, function=FUNCTION, stage_id=None):
        return self.tokens.mint(FunctionToken(stage_id or self.stage_id, function))

    def stage_token(self, developer="ann", seconds=None):
        return self.tokens.mint(StageToken(self.stage_id, developer), seconds)


@pytest.fixture
def settings(tmp_path, sqlite_template):
    made = Settings(data_dir=tmp_path, **NEEDED)
    shutil.copy(sqlite_template, tmp_path / "stagedoor.sqlite")
    return made


@pytest.fixture
def door(settings):
    sessions = make_sessions(make_engine(settings.database))
    with sessions.begin() as session:
        stage_id = add_stage(session).id
        arn = f"arn:aws:lambda:us-east-1:000000000001:function:{FUNCTION}"
        register(session, stage_id, [LiveFunction(FUNCTION, arn, "arn:aws:iam::000000000001:role/notes", 3)])
    server, thread, url = serve(settings)
    yield Door(settings, url, stage_id)
    server.should_exit = True
    thread.join()


def free_listener():
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


@contextmanager
def serve_relay(settings, server_class=uvicorn.Server, drain_seconds=5.0, listener=None):
    """Serve one more web process, on a thread; yields its URL and its server."""
    listener = listener or free_listener()
    front_door = make_front_door(settings)
    drain = [lambda: front_door.state.relay.drain(drain_seconds)] if server_class is not uvicorn.Server else []
    server = server_class(uvicorn.Config(front_door, log_config=None), *drain)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", server
    finally:
        server.should_exit = True
        thread.join()


class Agent:
    """One connection of a scripted agent."""

    def __init__(self, socket):
        self._socket = socket
        self.welcome = {}

    async def receive(self, *kinds):
        """Return the next frame that is no news of others; of these kinds, when they are given."""
        while True:
            message = await asyncio.wait_for(self._socket.receive(), 20)
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise ConnectionError(f"{message.type}: {message.data} {message.extra}")
            frame = decoded(message.data)
            if frame.type is not FrameType.OTHERS or FrameType.OTHERS in kinds:
                assert not kinds or frame.type in kinds, frame
                return frame

    async def send(self, frame):
        await self._socket.send_bytes(frame.encoded())

    async def invoked(self):
        """Return stream, head and event of the next invocation, whole and granted."""
        while (frame := await self.receive()).type in {FrameType.RECEIVED, FrameType.CREDIT}:
            pass
        assert frame.type is FrameType.INVOKE, frame
        head, event = frame.head()
        while len(event) < head["size"]:
            more = await self.receive(FrameType.DATA)
            event += more.payload
            await self.send(credit_frame(frame.stream, len(more.payload)))
        return frame.stream, head, event

    async def custody(self, stream):
        await self.send(Frame(FrameType.CUSTODY, stream))

    async def result(self, stream, head, body=b"{}", kind="response", headers=None):
        document = {
            "attempt": head["attempt"],
            "kind": kind,
            "headers": headers or {"Content-Type": "application/json"},
        }
        document |= {"size": len(body), "started_ms": 1, "ended_ms": 2}
        pieces = list(chunks(body)) or [b""]
        await self.send(head_frame(FrameType.RESULT, stream, document, pieces[0]))
        for piece in pieces[1:]:
            await self.send(Frame(FrameType.DATA, stream, piece))

    async def answer(self, reply=lambda _head, event: event):
        """Take one invocation and answer it."""
        stream, head, event = await self.invoked()
        await self.custody(stream)
        await self.result(stream, head, reply(head, event))
        return head

    async def cut(self):
        """Vanish without a word."""
        self._socket._response.connection.transport.abort()
        await self._socket.close()


class Peer:
    """Bridges and agents of one test, on one HTTP client."""

    def __init__(self, door, http):
        self.door = door
        self.http = http

    @asynccontextmanager
    async def agent(self, developer="ann", **hello):
        async with self.http.ws_connect(
            f"{self.door.url}/live/tunnel",
            protocols=[PROTOCOL],
            headers={"Authorization": f"Bearer {self.door.stage_token(developer)}"},
            max_msg_size=0,
        ) as socket:
            agent = Agent(socket)
            await agent.send(session_frame(FrameType.HELLO, {"protocol": 1, "known": {}, **hello}))
            agent.welcome = (await agent.receive(FrameType.WELCOME)).document()
            yield agent

    def headers(self, event, request_id="r-1", seconds=3.0, function=FUNCTION, **more):
        now = time.time()
        return {
            "Authorization": f"Bearer {self.door.function_token(function)}",
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": request_id,
            "Lambda-Runtime-Deadline-Ms": str(round((now + 900) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:us-east-1:000000000001:function:{function}",
            "Stagedoor-Deadline-Ms": str(round((now + seconds) * 1000)),
            "Stagedoor-Size": str(len(event)),
            **more,
        }

    async def ask(self, attempt, event=b"{}", body=True, **options):
        """Ask as a bridge does and return (status, frames)."""
        async with self.http.post(
            f"{self.door.url}/live/attempts/{attempt}",
            data=event if body else None,
            headers=self.headers(event, **options),
        ) as answer:
            content = await answer.read()
            return answer.status, parsed(content) if answer.status == 200 else content

    async def outcome(self, attempt, event=b"{}", **options):
        """Ask, and again with the event where it is wanted; return the result's bytes."""
        status, frames = await self.ask(attempt, event, body=len(event) <= 65536, **options)
        assert status == 200, (status, frames)
        if frames[-1][0] == "WANTED":
            options["Stagedoor-Again"] = "1"
            status, frames = await self.ask(attempt, event, **options)
        return outcome(frames)


NAMES = ["BEAT", "DEPLOYED", "WANTED", "ROUTED", "CUSTODY", "RESULT", "DATA", "FAILED"]


def parsed(content):
    """Return the frames of an answer to a bridge, as (name, document or bytes)."""
    frames = []
    while content:
        name, length = NAMES[content[0]], int.from_bytes(content[1:5], "big")
        payload, content = content[5 : 5 + length], content[5 + length :]
        assert len(payload) == length
        frames.append((name, json.loads(payload) if payload[:1] == b"{" and name != "DATA" else payload))
    return frames


def outcome(frames):
    """Return what the last frames say: the result's bytes, or the document of DEPLOYED and FAILED."""
    names = [name for name, _ in frames]
    if "RESULT" in names:
        head = frames[names.index("RESULT")][1]
        body = b"".join(payload for name, payload in frames if name == "DATA")
        assert len(body) == head["size"]
        return body
    return frames[-1]


@pytest.fixture
def live(door):
    """Run a scenario of a test, `async def scenario(peer)`, against the door."""

    def run(scenario):
        async def main():
            connector = aiohttp.TCPConnector(limit=0)
            async with asyncio.timeout(100), aiohttp.ClientSession(connector=connector) as http:
                await scenario(Peer(door, http))

        asyncio.run(main())

    return run
