"""Which web process holds which session, where there are several: in Redis, each entry with a lease.

Nothing but that is in Redis: events and results go straight to the process that holds the session (`forward.py`). When
Redis is away each process knows its own sessions only.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.relay.sessions import Session
from service.settings import Settings

log = structlog.get_logger(__name__)
LEASE_SECONDS = 10.0
SAY_SECONDS = 3.0
_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A session that another process holds, and where that one is reached."""

    session: Session
    url: str


class Directory(Protocol):
    """What a relay asks and tells of sessions."""

    alone: bool

    async def say(self, sessions: Iterable[Session]) -> None:
        """Hold these sessions, for the time of a lease."""

    async def forget(self, session: Session) -> None:
        """Hold this session no more, unless another process holds it by now."""

    async def elsewhere(self, stage_id: int) -> list[Elsewhere]:
        """Return a stage's sessions that other processes hold."""

    async def close(self) -> None:
        """Let go of connections."""


class Alone:
    """The directory of the only process."""

    alone = True

    async def say(self, sessions: Iterable[Session]) -> None:
        """There is nobody to tell."""

    async def forget(self, session: Session) -> None:
        """Neither is there here."""

    async def elsewhere(self, stage_id: int) -> list[Elsewhere]:
        """Return none."""
        return []

    async def close(self) -> None:
        """Nothing is open."""


class RedisDirectory:
    """A hash for each stage: session to who holds it, until when, and what routing needs to know of it."""

    alone = False

    def __init__(self, redis_url: str, here: str) -> None:
        self._here = here
        self._redis: Redis = Redis.from_url(
            redis_url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            decode_responses=True,
        )

    async def say(self, sessions: Iterable[Session]) -> None:
        """Hold these sessions, for the time of a lease."""
        until = time.time() + LEASE_SECONDS
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for session in sessions:
                    pipe.hset(_key(session.stage_id), session.id, json.dumps(self._entry(session, until)))
                    pipe.pexpire(_key(session.stage_id), round(LEASE_SECONDS * 1000))
                await pipe.execute()
        except RedisError as error:
            log.warning("the directory of sessions is away", error=type(error).__name__)

    async def forget(self, session: Session) -> None:
        """Hold this session no more, unless another process holds it by now."""
        try:
            entry = await self._redis.hget(_key(session.stage_id), session.id)
            if entry is not None and json.loads(entry)["url"] == self._here:
                await self._redis.hdel(_key(session.stage_id), session.id)
        except RedisError as error:
            log.warning("the directory of sessions is away", error=type(error).__name__)

    async def elsewhere(self, stage_id: int) -> list[Elsewhere]:
        """Return a stage's sessions that other processes hold."""
        try:
            entries = await self._redis.hgetall(_key(stage_id))
        except RedisError as error:
            log.warning("the directory of sessions is away", error=type(error).__name__)
            return []
        now = time.time()
        read = [(str(session), json.loads(entry)) for session, entry in entries.items()]
        return [
            Elsewhere(_session(session, stage_id, entry), entry["url"])
            for session, entry in read
            if entry["url"] != self._here and entry["until"] > now
        ]

    async def close(self) -> None:
        """Close the connections to Redis."""
        await self._redis.aclose()

    def _entry(self, session: Session, until: float) -> dict[str, Any]:
        return {
            "url": self._here,
            "until": until,
            "developer": session.developer,
            "name": session.name,
            "opened_at": session.opened_at,
            "functions": None if session.functions is None else sorted(session.functions),
            "owner": session.owner,
            "personal": session.personal,
            "cut_at": session.cut_at,
            "connected_at": session.connected_at,
        }


def open_directory(settings: Settings) -> Directory:
    """Return the directory that the settings ask for."""
    if settings.redis_url and settings.internal_url:
        return RedisDirectory(settings.redis_url, settings.internal_url.rstrip("/"))
    return Alone()


def _key(stage_id: int) -> str:
    return f"stagedoor:live:{stage_id}"


def _session(session_id: str, stage_id: int, entry: dict[str, Any]) -> Session:
    functions = entry["functions"]
    return Session(
        session_id,
        stage_id,
        entry["developer"],
        entry["opened_at"],
        name=entry["name"],
        functions=None if functions is None else frozenset(functions),
        owner=entry["owner"],
        personal=entry["personal"],
        cut_at=entry["cut_at"],
        connected_at=entry["connected_at"],
    )
