"""Every decision about attempts and sessions of one process, without I/O: time comes in, effects go out as data.

What holds, whatever comes in which order: an attempt that was offered to a session is never offered to another nor left
to the deployed code, unless that session said itself that it has not started it and never will.
"""

import heapq
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from service.relay.attempts import Ask, Attempt, Failure, Key, Phase, Result
from service.relay.effects import Cancel, Changed, Closed, Effect, Ended, Offer, Others, Refused, Wanted
from service.relay.routing import Outlook, heir
from service.relay.sessions import GRACE_SECONDS, Session

SLACK_SECONDS = 11.0
"""The agent ends a handler at its deadline, which waiting for a worker may move by 10 s, and says so better than we."""

BEFORE_LIMIT_SECONDS = 0.5
"""So long before the sandbox's own end the bridge is told, or it would not live to post it."""

MOST_ATTEMPTS = 20_000
SESSION_BYTES = 128 * 1024 * 1024
"""Most bytes of events that wait for one session."""

PROCESS_BYTES = 512 * 1024 * 1024
"""Most bytes of events and results that one process holds."""

DISCONNECTED = "Stagedoor.Disconnected"
LOST = "Stagedoor.Lost"
TIMED_OUT = "Sandbox.Timedout"


class Switchboard:
    """The sessions and attempts of one process. Each method says what is to be done next; nothing is done in here."""

    def __init__(self, process_bytes: int = PROCESS_BYTES, session_bytes: int = SESSION_BYTES) -> None:
        self.sessions: dict[str, Session] = {}
        self.attempts: dict[Key, Attempt] = {}
        self.held = 0
        self._process_bytes = process_bytes
        self._session_bytes = session_bytes
        self._waiting: set[Key] = set()
        self._taken: OrderedDict[Key, None] = OrderedDict()
        self._alarms: list[tuple[float, int, str | Key]] = []
        self._order = count()

    # What bridges say

    def ask(
        self, ask: Ask, event: bytes | None, has_sandbox: bool, now: float
    ) -> tuple[Attempt | Wanted | Refused, list[Effect]]:
        """Take up an attempt, or what is known of one that is asked for again."""
        effects: list[Effect] = []
        attempt = self.attempts.get(ask.key)
        if attempt is None:
            if len(self.attempts) >= MOST_ATTEMPTS:
                return Refused(429, "too many attempts at once", 1), effects
            attempt = self.attempts[ask.key] = Attempt(ask, now, left_at=now)
            self._alarm(self._end_of(attempt), ask.key)
            self._alarm(now + GRACE_SECONDS, ask.key)
        elif attempt.ask.function != ask.function:
            return Refused(404, "another function's attempt"), effects
        elif attempt.phase is Phase.ASKED:
            first = attempt.ask
            attempt.ask = replace(ask, again=first.again, session=first.session, open_sessions=first.open_sessions)
        elif attempt.phase is Phase.RESULT and attempt.result is None:
            self._ask_once_more(attempt, now, effects)
        if event is not None and attempt.event is None and attempt.phase is Phase.ASKED:
            attempt.event = event
            self.held += len(event)
        answer = self._settle(attempt, now, effects, has_sandbox)
        if isinstance(answer, Refused):
            self._drop(attempt)
        return answer or attempt, effects

    def attach(self, attempt: Attempt) -> None:
        """A call of its bridge is open."""
        attempt.calls += 1
        self._taken.pop(attempt.ask.key, None)

    def detach(self, attempt: Attempt, now: float) -> list[Effect]:
        """A call of its bridge is over, answered or broken."""
        attempt.calls -= 1
        attempt.left_at = now
        self._alarm(now + GRACE_SECONDS, attempt.ask.key)
        if not attempt.over:
            return []
        if attempt.phase is Phase.RESULT:
            self._taken[attempt.ask.key] = None
        return self._recorded(attempt)

    def told(self, attempt: Attempt, now: float) -> list[Effect]:
        """The bridge knows which session gets it; now that one may."""
        attempt.told = True
        session = self.sessions.get(attempt.session)
        if attempt.phase is not Phase.ROUTED or session is None or session.cut_at is not None:
            return []
        return [self._offered(attempt, now)]

    # What agents say

    def welcome(self, session: Session, known: Mapping[str, str], now: float) -> list[Effect]:
        """A session is connected, for the first time or again; `known` are the attempts that its agent has."""
        self.sessions[session.id] = session
        session.cut_at, session.connected_at = None, now
        session.known = dict(known)
        effects: list[Effect] = []
        for attempt in self._attempts_of(session):
            listed = session.known.pop(attempt.ask.attempt, None) is not None
            match attempt.phase:
                case Phase.ROUTED if attempt.told:
                    effects.append(self._offered(attempt, now))
                case Phase.OFFERED | Phase.CUSTODY if listed:
                    self._bound(attempt, session, effects, now)
                case Phase.OFFERED:
                    effects.append(Offer(session.id, attempt.ask.key))
                case Phase.CUSTODY:
                    self._fail(attempt, LOST, "The agent does not know this invocation any more.", now, effects)
        self._settle_waiting(session.stage_id, now, effects)
        effects.append(Others(session.stage_id))
        return effects

    def cut(self, session: Session, now: float) -> list[Effect]:
        """The session's connection broke. It may come back."""
        session.cut_at = now
        self._alarm(now + GRACE_SECONDS, session.id)
        return []

    def farewell(self, session: Session, reason: str, now: float) -> list[Effect]:
        """The agent stops, or is told to: the session ends. What it has not taken, it has not started."""
        effects: list[Effect] = []
        del self.sessions[session.id]
        for attempt in self._attempts_of(session):
            if attempt.phase is Phase.CUSTODY:
                self._fail(attempt, DISCONNECTED, reason, now, effects)
            else:
                self._take_back(attempt, session, now, effects)
        self._close(session, now, effects)
        return effects

    def custody(self, session: Session, key: Key, now: float) -> list[Effect]:
        """The agent has the event whole."""
        attempt = self._attempt_of(session, key)
        if attempt is not None and attempt.phase is Phase.OFFERED:
            attempt.phase = Phase.CUSTODY
            attempt.times["custody"] = now
            self._release_event(attempt, session)
        return []

    def result(self, session: Session, key: Key, result: Result, now: float) -> list[Effect]:
        """The agent has given the outcome, whole."""
        attempt = self._attempt_of(session, key)
        if attempt is None or attempt.phase not in {Phase.OFFERED, Phase.CUSTODY}:
            return []
        attempt.phase = Phase.RESULT
        attempt.result = result
        attempt.times.update(started=result.started_ms / 1000, ended=result.ended_ms / 1000, result=now)
        self.held += len(result.body)
        effects: list[Effect] = []
        self._over(attempt, now, effects)
        self.evict()
        return effects

    def refuse(self, session: Session, key: Key, reason: str, now: float) -> list[Effect]:
        """The agent has not started it and never will; after custody that means that it lost it."""
        attempt = self._attempt_of(session, key)
        effects: list[Effect] = []
        if attempt is None:
            return effects
        if attempt.phase is Phase.OFFERED:
            attempt.refused.add(session.id)
            attempt.reason = reason
            self._take_back(attempt, session, now, effects)
        else:
            self._fail(attempt, LOST, reason or "The agent does not know this invocation any more.", now, effects)
        return effects

    # What time and room say

    def tick(self, now: float) -> list[Effect]:
        """Do what has become due."""
        effects: list[Effect] = []
        while self._alarms and self._alarms[0][0] <= now:
            subject = heapq.heappop(self._alarms)[2]
            if isinstance(subject, str):
                self._check_session(subject, now, effects)
            else:
                self._check_attempt(subject, now, effects)
        return effects

    def reserve(self, size: int) -> bool:
        """Keep room for a body that is on its way, letting go of results that were taken; False: there is none now."""
        self.evict(size)
        if self.held + size > self._process_bytes:
            return False
        self.held += size
        return True

    def unreserve(self, size: int) -> None:
        """Give that room back: the body is here, and counts by itself, or it does not come."""
        self.held -= size

    def evict(self, size: int = 0) -> None:
        """Let go of results that bridges have taken, oldest first: their agents keep them a while longer than we."""
        while self._taken and self.held + size > self._process_bytes:
            key, _ = self._taken.popitem(last=False)
            attempt = self.attempts[key]
            if attempt.result is not None:
                self.held -= len(attempt.result.body)
                attempt.result = None

    def of_stage(self, stage_id: int) -> list[Session]:
        """Return the sessions of a stage that are not dead."""
        return [session for session in self.sessions.values() if session.stage_id == stage_id]

    def under_way(self) -> int:
        """Return how many attempts have been offered to somebody, and have no outcome yet."""
        return sum(attempt.under_way for attempt in self.attempts.values())

    def move_all(self) -> list[Effect]:
        """Have bridges ask another process for what is under way: this one ends."""
        moved = [attempt for attempt in self.attempts.values() if not attempt.over]
        for attempt in moved:
            attempt.moved = True
        return [Changed(attempt.ask.key) for attempt in moved]

    def give_away(self, session: Session) -> list[Effect]:
        """The session is another process's now, and so is all that it has."""
        moved = self._attempts_of(session)
        for attempt in moved:
            attempt.moved = True
            self._drop(attempt)
        del self.sessions[session.id]
        return [Changed(attempt.ask.key) for attempt in moved]

    # How it is decided

    def _settle(
        self, attempt: Attempt, now: float, effects: list[Effect], has_sandbox: bool = True
    ) -> Wanted | Refused | None:
        """Find who gets an attempt that is nobody's yet; say what is missing for it."""
        if attempt.phase is not Phase.ASKED:
            return None
        for session in self.of_stage(attempt.ask.stage_id):
            if session.known.pop(attempt.ask.attempt, None) is not None:
                self._bound(attempt, session, effects, now)
                return None
        candidate = heir(attempt, self.sessions, now)
        sandbox = bool(attempt.ask.sandbox) and not has_sandbox
        if candidate is Outlook.LOST:
            self._fail(attempt, DISCONNECTED, "The agent that may have it did not come back.", now, effects)
        elif candidate is None:
            attempt.phase = Phase.DEPLOYED
            attempt.reason = attempt.reason or "nobody takes it"
            self._over(attempt, now, effects)
        elif attempt.waits_for_event or sandbox:
            return Wanted(attempt.waits_for_event, sandbox)
        elif isinstance(candidate, Outlook):
            self._waiting.add(attempt.ask.key)
        else:
            return self._route(attempt, candidate, effects)
        return None

    def _route(self, attempt: Attempt, session: Session, effects: list[Effect]) -> Refused | None:
        size = len(attempt.event or b"")
        if session.held + size > self._session_bytes and session.held:
            return Refused(429, "the agent has too much to do", 1)
        self._waiting.discard(attempt.ask.key)
        attempt.phase = Phase.ROUTED
        attempt.session, attempt.developer, attempt.told = session.id, session.developer, False
        session.attempts.add(attempt.ask.key)
        session.held += size
        effects.append(Changed(attempt.ask.key))
        return None

    def _offered(self, attempt: Attempt, now: float) -> Offer:
        attempt.phase = Phase.OFFERED
        attempt.times["offered"] = now
        return Offer(attempt.session, attempt.ask.key)

    def _bound(self, attempt: Attempt, session: Session, effects: list[Effect], now: float) -> None:
        self._waiting.discard(attempt.ask.key)
        attempt.phase = Phase.CUSTODY
        attempt.session, attempt.developer, attempt.told = session.id, session.developer, True
        attempt.times.setdefault("custody", now)
        self._release_event(attempt, session if attempt.ask.key in session.attempts else None)
        session.attempts.add(attempt.ask.key)
        if session.cut_at is None:  # else it lists the attempt again when it is back
            effects.append(Offer(session.id, attempt.ask.key, known=True))
        effects.append(Changed(attempt.ask.key))

    def _ask_once_more(self, attempt: Attempt, now: float, effects: list[Effect]) -> None:
        """Have the agent repeat a result that we let go of."""
        session = self.sessions.get(attempt.session)
        self._taken.pop(attempt.ask.key, None)
        if session is None or session.cut_at is not None:
            self._fail(attempt, LOST, "The result is not here any more.", now, effects)
        else:
            self._bound(attempt, session, effects, now)

    def _take_back(self, attempt: Attempt, session: Session, now: float, effects: list[Effect]) -> None:
        """Find somebody else for what its session has not started."""
        session.attempts.discard(attempt.ask.key)
        session.held -= len(attempt.event or b"")
        attempt.phase = Phase.ASKED
        attempt.session = attempt.developer = ""
        attempt.ask = replace(attempt.ask, again=0, open_sessions=frozenset())
        if isinstance(refused := self._settle(attempt, now, effects), Refused):
            self._fail(attempt, LOST, refused.reason, now, effects)

    def _fail(self, attempt: Attempt, kind: str, message: str, now: float, effects: list[Effect]) -> None:
        attempt.phase = Phase.FAILED
        attempt.failure = Failure(kind, message)
        self._over(attempt, now, effects)

    def _over(self, attempt: Attempt, now: float, effects: list[Effect]) -> None:
        key = attempt.ask.key
        session = self.sessions.get(attempt.session)
        self._release_event(attempt, session)
        if session is not None:
            session.attempts.discard(key)
        self._waiting.discard(key)
        if not attempt.calls:
            attempt.left_at = now
            self._alarm(now + GRACE_SECONDS, key)
        effects.append(Changed(key))

    def _release_event(self, attempt: Attempt, session: Session | None) -> None:
        if attempt.event is not None:
            self.held -= len(attempt.event)
            if session is not None and attempt.ask.key in session.attempts:
                session.held -= len(attempt.event)
            attempt.event = None

    def _settle_waiting(self, stage_id: int, now: float, effects: list[Effect]) -> None:
        for key in [key for key in self._waiting if key[0] == stage_id]:
            if isinstance(refused := self._settle(self.attempts[key], now, effects), Refused):
                self._fail(self.attempts[key], LOST, refused.reason, now, effects)

    def _check_session(self, session_id: str, now: float, effects: list[Effect]) -> None:
        session = self.sessions.get(session_id)
        if session is None or session.cut_at is None or now < session.cut_at + GRACE_SECONDS:
            return
        del self.sessions[session_id]
        for attempt in self._attempts_of(session):
            if attempt.phase is Phase.ROUTED and not attempt.told:
                self._take_back(attempt, session, now, effects)
            else:
                self._fail(attempt, DISCONNECTED, "The agent's connection broke and did not come back.", now, effects)
        self._close(session, now, effects)

    def _close(self, session: Session, now: float, effects: list[Effect]) -> None:
        self._settle_waiting(session.stage_id, now, effects)
        effects += [Closed(session), Others(session.stage_id)]

    def _check_attempt(self, key: Key, now: float, effects: list[Effect]) -> None:
        attempt = self.attempts.get(key)
        if attempt is None:
            return
        if not attempt.calls and now >= attempt.left_at + GRACE_SECONDS:
            if attempt.phase in {Phase.OFFERED, Phase.CUSTODY}:
                effects.append(Cancel(attempt.session, key, "nobody waits for it"))
            effects += self._recorded(attempt)
            self._drop(attempt)
        elif not attempt.over and now >= (end := self._end_of(attempt)):
            if attempt.phase in {Phase.OFFERED, Phase.CUSTODY}:
                effects.append(Cancel(attempt.session, key, "its time is over"))
            seconds = max(1, round(attempt.ask.deadline - attempt.received))
            text = f"RequestId: {attempt.ask.request_id} Error: Task timed out after {seconds:.2f} seconds"
            self._fail(attempt, TIMED_OUT, text, now, effects)
        elif not attempt.over:
            self._alarm(end, key)
            if isinstance(refused := self._settle(attempt, now, effects), Refused):
                self._fail(attempt, LOST, refused.reason, now, effects)

    def _end_of(self, attempt: Attempt) -> float:
        session = self.sessions.get(attempt.session)
        limit = attempt.ask.limit - BEFORE_LIMIT_SECONDS
        if session is not None and attempt.ask.function in session.debug:
            return limit
        return min(attempt.ask.deadline + SLACK_SECONDS, limit)

    def _drop(self, attempt: Attempt) -> None:
        key = attempt.ask.key
        session = self.sessions.get(attempt.session)
        self._release_event(attempt, session)
        if session is not None:
            session.attempts.discard(key)
        if attempt.result is not None:
            self.held -= len(attempt.result.body)
        self._waiting.discard(key)
        self._taken.pop(key, None)
        del self.attempts[key]

    def _recorded(self, attempt: Attempt) -> list[Effect]:
        if "answered" in attempt.times:
            return []
        attempt.times["answered"] = attempt.left_at
        return [Ended(attempt)]

    def _attempts_of(self, session: Session) -> list[Attempt]:
        return [self.attempts[key] for key in sorted(session.attempts)]

    def _attempt_of(self, session: Session, key: Key) -> Attempt | None:
        attempt = self.attempts.get(key)
        return attempt if attempt is not None and attempt.session == session.id else None

    def _alarm(self, when: float, subject: str | Key) -> None:
        heapq.heappush(self._alarms, (when, next(self._order), subject))
