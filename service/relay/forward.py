"""A bridge's call, passed on to the web process that holds the session: straight, over HTTP, byte for byte."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

import aiohttp
import structlog
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from service.access.tokens import ForwardToken, TokenInvalid, Tokens
from service.relay.attempts import Ask
from service.relay.directory import Elsewhere
from service.relay.routing import chosen
from service.relay.sessions import Session

log = structlog.get_logger(__name__)
HEADER = "Stagedoor-Forwarded"
CONNECT_SECONDS = 1.0
_NOT_PASSED_ON = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding", HEADER.lower().encode()})
_PASSED_BACK = ("Content-Type", "Cache-Control", "Retry-After")


def holder(ask: Ask, here: Iterable[Session], there: list[Elsewhere]) -> Elsewhere | None:
    """Return the session elsewhere that gets an attempt which nobody has yet; None: it is decided here. Pure."""
    if ask.session:
        return next((one for one in there if one.session.id == ask.session), None)
    by_id = {one.session.id: one for one in there}
    session = chosen(
        [*(one for one in here if one.id not in by_id), *(one.session for one in there)], ask.function, ask.developer
    )
    return by_id.get(session.id) if session is not None else None


class Forwarder:
    """Speaks to the other web processes. They trust its calls by a token that only they can mint."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._http: aiohttp.ClientSession | None = None
        self._introduced: set[tuple[str, str, str]] = set()

    def claims(self, ask: Ask, header: str) -> ForwardToken | None:
        """Return what another process has decided about a call that it passed on; None for a bridge's own."""
        try:
            claims = self._tokens.verify(header, ForwardToken)
        except TokenInvalid:
            return None
        return claims if claims.attempt == ask.attempt else None

    async def knows(self, url: str, attempt: str, headers: Mapping[str, str]) -> bool | None:
        """Tell whether a process has this attempt; None when it does not say."""
        try:
            async with self._client().get(
                f"{url}/live/attempts/{attempt}",
                headers={**headers, HEADER: self._tokens.mint(ForwardToken(attempt, ""))},
                timeout=aiohttp.ClientTimeout(total=CONNECT_SECONDS),
            ) as answer:
                return {204: True, 404: False}.get(answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def introduce(
        self, url: str, function: str, sandbox: str, document: Mapping[str, object], authorization: str
    ) -> None:
        """Let the other process have the sandbox, once."""
        if (url, function, sandbox) in self._introduced:
            return
        async with self._client().put(
            f"{url}/live/sandboxes/{sandbox}", json=document, headers={"Authorization": authorization}
        ) as answer:
            if answer.status == 204:
                self._introduced.add((url, function, sandbox))

    def changed(self, function: str, sandbox: str) -> None:
        """The sandbox was put anew: others may have lost it."""
        self._introduced = {one for one in self._introduced if one[1:] != (function, sandbox)}

    async def carry(
        self, to: Elsewhere, ask: Ask, event: bytes | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Have another process answer the call. Where it breaks off, so do we: the bridge asks again."""
        passed = [
            (name.decode(), value.decode("latin-1")) for name, value in scope["headers"] if name not in _NOT_PASSED_ON
        ]
        token = self._tokens.mint(ForwardToken(ask.attempt, to.session.id))
        gone = asyncio.ensure_future(_until_gone(receive))
        answering = asyncio.ensure_future(
            self._answer(f"{to.url}/live/attempts/{ask.attempt}", [*passed, (HEADER, token)], event, scope, send)
        )
        try:
            await asyncio.wait({gone, answering}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        finally:
            gone.cancel()
            answering.cancel()

    async def _answer(
        self, url: str, headers: list[tuple[str, str]], event: bytes | None, scope: Scope, send: Send
    ) -> None:
        started = False
        try:
            async with self._client().post(
                url, data=event, headers=headers, skip_auto_headers=("Content-Type",)
            ) as answer:
                back = [
                    (n.lower().encode(), answer.headers[n].encode("latin-1"))
                    for n in _PASSED_BACK
                    if n in answer.headers
                ]
                await send({"type": "http.response.start", "status": answer.status, "headers": back})
                started = True
                async for piece in answer.content.iter_any():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("another web process did not answer", url=url, error=type(error).__name__)
            if not started:
                await PlainTextResponse("another process did not answer", 502)(scope, _nothing, send)
            else:
                await send({"type": "http.response.body", "body": b""})

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
            connector = aiohttp.TCPConnector(limit=0)
            self._http = aiohttp.ClientSession(
                timeout=timeout, connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._http

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()


def without_asked(ask: Ask, asked: Iterable[Elsewhere]) -> Ask:
    """Return the ask less the open sessions whose processes have said that they do not know the attempt."""
    return replace(ask, open_sessions=ask.open_sessions - {one.session.id for one in asked})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> dict[str, object]:
    return {"type": "http.disconnect"}
