"""The relay of one process: does what its switchboard decides. It lives on the front door's event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog

from service.access.tokens import ResumeToken, StageToken, TokenInvalid, Tokens
from service.parts import Parts
from service.relay import rows
from service.relay.attempts import Attempt, Key, Phase
from service.relay.directory import SAY_SECONDS, open_directory
from service.relay.effects import Cancel, Changed, Closed, Effect, Ended, Offer, Others
from service.relay.forward import Forwarder
from service.relay.identity import Identities
from service.relay.records import Records
from service.relay.rows import StageFacts
from service.relay.sandboxes import Sandboxes
from service.relay.sessions import Session, others
from service.relay.switchboard import Switchboard
from stagedoor.live.frames import Frame, FrameType, session_frame

log = structlog.get_logger(__name__)
TICK_SECONDS = 0.1
SEEN_SECONDS = 10.0
DRAIN_LOOK_SECONDS = 0.05

May = Callable[[StageToken], Awaitable[bool]]


async def _always(_claims: StageToken) -> bool:
    return True


class Line(Protocol):
    """A connection of a session: `agent_side.Tunnel`."""

    session: Session

    def offer(self, attempt: Attempt, known: bool) -> None:
        """Send an attempt; `known`: ask for the outcome of one that the agent has."""

    def cancel(self, key: Key, reason: str) -> None:
        """Say that nobody waits for an attempt any more."""

    def put(self, frame: Frame) -> None:
        """Have a frame sent."""

    def close(self) -> None:
        """Close once all that was put is sent."""

    def end(self) -> None:
        """Let go of what was under way."""

    def catch_up(self) -> None:
        """Send what was in no hurry, and let results come in that there was no room for."""


class Relay:
    """Connections, calls and clocks around a `Switchboard`. `may` tells whether a developer still may use a stage."""

    def __init__(self, parts: Parts, may: May = _always) -> None:
        self.parts = parts
        self.may = may
        self.tokens = Tokens.of(parts.settings)
        self.switchboard = Switchboard()
        self.sandboxes = Sandboxes()
        self.records = Records(parts.sessions, parts.settings.invocation_days, parts.settings.payload_days)
        self.draining = False
        self.began = time.monotonic()
        self.directory = open_directory(parts.settings)
        self.identities = Identities(urlsplit(parts.settings.url).netloc)
        self.forwarder = Forwarder(self.tokens)
        self._elsewhere: dict[int, list[Session]] = {}
        self._tunnels: dict[str, Line] = {}
        self._calls: dict[Key, set[asyncio.Event]] = {}
        self._stages: dict[int, StageFacts] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._epoch = time.time() - time.monotonic()

    def now(self) -> float:
        """Return seconds since the epoch, by a clock that never goes back."""
        return self._epoch + time.monotonic()

    def stage_name(self, stage_id: int) -> str:
        """Return the name of a stage that has a session here."""
        return self._stages[stage_id].name

    # Effects

    def perform(self, effects: list[Effect]) -> None:
        """Do what the switchboard said."""
        for effect in effects:
            match effect:
                case Offer(session, key, known):
                    self._tunnels[session].offer(self.switchboard.attempts[key], known)
                case Changed(key):
                    for call in self._calls.get(key, ()):
                        call.set()
                case Cancel(session, key, reason):
                    if session in self._tunnels:
                        self._tunnels[session].cancel(key, reason)
                case Ended(attempt):
                    self._record(attempt)
                case Closed(session):
                    self.soon(asyncio.to_thread(rows.close_session, self.parts.sessions, session.id))
                    self.soon(self.directory.forget(session))
                case Others(stage_id):
                    self._introduce(stage_id)

    def soon(self, work: Awaitable[Any]) -> None:
        """Do something beside; what goes wrong is logged."""
        task = asyncio.ensure_future(_logged(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _introduce(self, stage_id: int) -> None:
        for session in self.switchboard.of_stage(stage_id):
            if (line := self._tunnels.get(session.id)) is not None:
                line.put(session_frame(FrameType.OTHERS, {"others": others(self.on_stage(stage_id), session)}))

    def _record(self, attempt: Attempt) -> None:
        # What deployed code did while nobody was there is nobody's business here.
        if attempt.phase is not Phase.DEPLOYED or self.switchboard.of_stage(attempt.ask.stage_id):
            self.records.put(attempt)

    def keeps_payloads(self, stage_id: int) -> bool:
        """Tell whether events and results of this stage are kept."""
        return stage_id in self._stages and self._stages[stage_id].keeps_payloads

    # Calls of bridges

    def called(self, attempt: Attempt) -> asyncio.Event:
        """A bridge's call for this attempt is open; returns what is set when there may be something to say."""
        call = asyncio.Event()
        self._calls.setdefault(attempt.ask.key, set()).add(call)
        self.switchboard.attach(attempt)
        return call

    def hung_up(self, attempt: Attempt, call: asyncio.Event) -> None:
        """The call is over."""
        calls = self._calls[attempt.ask.key]
        calls.discard(call)
        if not calls:
            del self._calls[attempt.ask.key]
        self.perform(self.switchboard.detach(attempt, self.now()))

    # Sessions of agents

    async def session_of(self, claims: StageToken, hello: Mapping[str, Any]) -> Session | None:
        """Return the session that an agent comes back to, or a new one; None when there is no such stage."""
        sessions = self.parts.sessions
        facts = await asyncio.to_thread(rows.stage_facts, sessions, claims.stage_id)
        if facts is None:
            return None
        self._stages[facts.id] = facts
        named = hello.get("functions")
        functions = frozenset(map(str, named)) if isinstance(named, list) else None
        session_id = await self._resumed(claims, hello)
        session = self.switchboard.sessions.get(session_id or "")
        if session is None:
            if session_id is None:
                session_id = await asyncio.to_thread(
                    rows.open_session, sessions, facts.id, claims.developer, sorted(functions or ())
                )
            session = Session(session_id, facts.id, claims.developer, self.now())
        debug = hello.get("debug")
        session.name = str(hello.get("name") or "")
        session.functions = functions
        session.debug = frozenset(map(str, debug)) if isinstance(debug, list) else frozenset()
        session.owner, session.personal = facts.owner, facts.personal
        return session

    async def _resumed(self, claims: StageToken, hello: Mapping[str, Any]) -> str | None:
        """Return the id of the session that the agent may come back to."""
        try:
            resume = self.tokens.verify(str(hello.get("resume") or ""), ResumeToken)
        except TokenInvalid:
            return None
        if (resume.stage_id, resume.developer) != (claims.stage_id, claims.developer):
            return None
        if resume.session in self.switchboard.sessions:
            return resume.session
        try:
            still = await asyncio.to_thread(rows.is_open, self.parts.sessions, resume.session)
        except Exception:  # the token is proof enough while the database is away
            log.warning("a session is resumed without asking the database", exc_info=True)
            return resume.session
        return resume.session if still else None

    def connected(self, line: Line, known: Mapping[str, str]) -> None:
        """A session has this connection now; an earlier one is closed."""
        earlier = self._tunnels.get(line.session.id)
        self._tunnels[line.session.id] = line
        if earlier is not None:
            earlier.end()
            earlier.close()
        self.perform(self.switchboard.welcome(line.session, known, self.now()))

    def is_current(self, line: Line) -> bool:
        """Tell whether this is the session's connection; one that was replaced is not listened to any more."""
        return self._tunnels.get(line.session.id) is line

    def disconnected(self, line: Line) -> None:
        """A connection broke or was closed."""
        if self.is_current(line):
            del self._tunnels[line.session.id]
            if line.session.id in self.switchboard.sessions:
                self.perform(self.switchboard.cut(line.session, self.now()))
                self.soon(self._say_cut(line.session))

    def left(self, line: Line, reason: str) -> None:
        """The agent stops, or must."""
        if self.is_current(line) and line.session.id in self.switchboard.sessions:
            self.perform(self.switchboard.farewell(line.session, reason, self.now()))

    # Other processes

    def on_stage(self, stage_id: int) -> list[Session]:
        """Return the sessions of a stage, those of other processes as they were when we last looked."""
        here = self.switchboard.of_stage(stage_id)
        ids = {session.id for session in here}
        return here + [one for one in self._elsewhere.get(stage_id, ()) if one.id not in ids]

    async def look_elsewhere(self, stage_id: int) -> None:
        """See who is on a stage in other processes: a session that one of them has taken over is not ours any more."""
        if self.directory.alone:
            return
        there = [one.session for one in await self.directory.elsewhere(stage_id)]
        for session in there:
            mine = self.switchboard.sessions.get(session.id)
            if mine is not None and session.connected_at > mine.connected_at:
                if (line := self._tunnels.pop(session.id, None)) is not None:
                    line.end()
                    line.close()
                self.perform(self.switchboard.give_away(mine))
        if {one.id for one in there} != {one.id for one in self._elsewhere.get(stage_id, ())}:
            self._elsewhere[stage_id] = there
            self._introduce(stage_id)

    async def keep_directory(self) -> None:
        """See which sessions are elsewhere and say which are here, until cancelled; often while one of ours is cut."""
        said = self.now()
        while not self.directory.alone:
            await asyncio.sleep(TICK_SECONDS)
            try:
                is_time = self.now() - said >= SAY_SECONDS
                sessions = list(self.switchboard.sessions.values())
                for stage_id in {
                    one.stage_id for one in sessions if is_time or one.cut_at is not None or self.draining
                }:
                    await self.look_elsewhere(stage_id)
                if is_time:
                    said = self.now()
                    await self.directory.say(list(self.switchboard.sessions.values()))
            except Exception:
                log.exception("the directory of sessions could not be kept")

    async def _say_cut(self, session: Session) -> None:
        await self.look_elsewhere(session.stage_id)
        if session.id in self.switchboard.sessions:
            await self.directory.say([session])

    # The end

    async def drain(self, seconds: float) -> None:
        """Take nothing new, let what is under way end for so long, and have the rest go on in another process."""
        self.draining = True
        for line in self._tunnels.values():
            line.put(session_frame(FrameType.DRAIN, {"seconds": seconds}))
        end = self.now() + seconds
        while self.switchboard.under_way() and self.now() < end:
            await asyncio.sleep(DRAIN_LOOK_SECONDS)
        log.info("drained", left=self.switchboard.under_way())
        self.perform(self.switchboard.move_all())
        await asyncio.sleep(DRAIN_LOOK_SECONDS)  # for what was just said to leave

    # The clock

    async def run(self) -> None:
        """Do what becomes due, until cancelled."""
        seen = self.now()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            try:
                now = self.now()
                self.perform(self.switchboard.tick(now))
                for line in self._tunnels.values():
                    line.catch_up()
                if now - seen >= SEEN_SECONDS:
                    seen = now
                    self.soon(asyncio.to_thread(rows.see_sessions, self.parts.sessions, list(self._tunnels)))
            except Exception:
                log.exception("the relay's clock stumbled")


async def _logged(work: Awaitable[Any]) -> None:
    try:
        await work
    except Exception:
        log.warning("the relay could not do something beside", exc_info=True)
