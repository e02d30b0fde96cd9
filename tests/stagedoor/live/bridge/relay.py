"""A relay for the bridge's tests: says what docs/live.md has between the two, step by step as a test wants it."""

import asyncio
import contextlib
import json
import struct
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

BEAT, DEPLOYED, WANTED, ROUTED, CUSTODY, RESULT, DATA, FAILED = range(8)


@dataclass
class Asked:
    """One request for an attempt, and the stream that answers it."""

    attempt: str
    headers: Mapping[str, str]
    event: bytes
    request: web.Request
    stream: web.StreamResponse | None = None

    async def say(self, kind: int, document: Any = None, data: bytes = b"") -> None:
        if self.stream is None:
            self.stream = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
            self.stream.enable_chunked_encoding()
            await self.stream.prepare(self.request)
        payload = data if document is None else json.dumps(document).encode()
        await self.stream.write(struct.pack(">BI", kind, len(payload)) + payload)

    async def result(self, body: bytes, kind: str = "response", **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()} or {
            "Content-Type": "application/json"
        }
        await self.say(RESULT, {"kind": kind, "headers": named, "size": len(body)})
        for start in range(0, len(body), 65536):
            await self.say(DATA, data=body[start : start + 65536])

    def cut(self) -> None:
        """Break the connection off, as a dead process or network does."""
        self.request.transport.abort()


Step = Callable[[Asked], Awaitable[web.Response | None]]


async def echo(asked: Asked) -> None:
    """Answer as a relay does with an agent that returns its event: the usual frames, in their order."""
    await asked.say(ROUTED, {"session": "s1", "developer": "ada"})
    if int(asked.headers["Stagedoor-Size"]) and not asked.event:
        await asked.say(WANTED, {"event": True, "sandbox": False})
        return
    await asked.say(CUSTODY)
    await asked.result(asked.event)


async def deployed(asked: Asked) -> None:
    """Say that nobody is there."""
    await asked.say(DEPLOYED, {"reason": "nobody"})


@dataclass
class ScriptedRelay:
    """Takes the first `steps` in turn, then `otherwise`."""

    live: bool = True
    says_live: bool = True
    presences: int = 0
    otherwise: Step = echo
    steps: list[Step] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    tokens: list[dict[str, Any]] = field(default_factory=list)
    token_answers: list[web.Response] = field(default_factory=list)
    sandboxes: dict[str, dict[str, Any]] = field(default_factory=dict)
    expires_in: float = 900
    connections: set[Any] = field(default_factory=set)
    port: int = 0

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/live/token", self._token)
        app.router.add_get("/live/presence", self._presence)
        app.router.add_post("/live/attempts/{attempt}", self._attempt)
        app.router.add_put("/live/sandboxes/{id}", self._sandbox)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        self.connections.add(request.transport)
        self.tokens.append(await request.json())
        if self.token_answers:
            return self.token_answers.pop(0)
        said = {"token": f"token-{len(self.tokens)}", "expires_in": self.expires_in}
        return web.json_response(said | ({"live": self.live} if self.says_live else {}))

    def _refused(self, request: web.Request) -> bool:
        self.connections.add(request.transport)
        return request.headers.get("Authorization") != f"Bearer token-{len(self.tokens)}"

    async def _presence(self, request: web.Request) -> web.Response:
        if self._refused(request):
            return web.Response(status=401)
        self.presences += 1
        return web.json_response({"live": self.live})

    async def _sandbox(self, request: web.Request) -> web.Response:
        if self._refused(request):
            return web.Response(status=401)
        self.sandboxes[request.match_info["id"]] = await request.json()
        return web.Response(status=204)

    async def _attempt(self, request: web.Request) -> web.StreamResponse:
        if self._refused(request):
            return web.Response(status=401)
        asked = Asked(request.match_info["attempt"], dict(request.headers), await request.read(), request)
        self.asked.append(asked)
        step = self.steps.pop(0) if self.steps else self.otherwise
        with contextlib.suppress(ConnectionError):
            answer = await step(asked)
            if answer is not None:
                return answer
        if asked.stream is None:
            return web.Response(status=500)
        with contextlib.suppress(ConnectionError):
            await asked.stream.write_eof()
        return asked.stream
