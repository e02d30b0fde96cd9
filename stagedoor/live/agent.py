"""The agent: takes invocations from the tunnel into custody, has workers run them, and sends the results back."""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from stagedoor import __version__
from stagedoor.errors import UserError
from stagedoor.live.agent_events import OnEvent
from stagedoor.live.bodies import Arriving
from stagedoor.live.custody import Custody, Offer
from stagedoor.live.frames import Frame, FrameInvalid, FrameType, credit_frame, session_frame
from stagedoor.live.functions import Commands, Invocation, LiveFunction, Outcome, Sandbox
from stagedoor.live.lambda_errors import FunctionError
from stagedoor.live.tunnel import Connection, Tokens, Tunnel
from stagedoor.live.workers.outcome import own_error
from stagedoor.live.workers.pool import WorkerPool

_TIDY_SECONDS = 10.0
_SAME_CLOCK_MS = 500
_FORGOTTEN = FunctionError("Stagedoor.ResultForgotten", "It ran before, and its result is no longer kept.")


class Agent:
    """A developer's machine, connected to one stage.

    `server` is the service's URL, `functions` are those whose code is here by their physical names, `only` those of
    them to ask the relay for (all that come, if None), `debug` those that a debugger may hold for 15 minutes.
    """

    def __init__(
        self,
        server: str,
        tokens: Tokens,
        functions: Mapping[str, LiveFunction],
        commands: Commands,
        *,
        concurrency: int = 10,
        only: Iterable[str] | None = None,
        debug: Iterable[str] = (),
        on_event: OnEvent = lambda _: None,
    ) -> None:
        self.debug = frozenset(debug)
        self._only = None if only is None else sorted(only)
        self._concurrency = concurrency
        self._custody = Custody()
        self._pool = WorkerPool(functions, commands, concurrency, on_event, debug=self.debug)
        self._tunnel = Tunnel(server, tokens, self, on_event)
        self._arriving: dict[tuple[Connection, int], tuple[dict[str, Any], Arriving]] = {}
        self._bound: dict[str, tuple[Connection, int]] = {}
        self._attempts: dict[tuple[Connection, int], str] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ahead_ms = 0

    async def run(self) -> None:
        """Connect and serve until cancelled. Raises `TunnelRefused` and `SessionEnded`."""
        tidying = asyncio.create_task(self._tidy())
        try:
            await self._tunnel.run()
        finally:
            tidying.cancel()
            for running in self._running.values():
                running.cancel()
            await self._pool.close()

    async def reload(self, functions: Iterable[str] | None = None, after: Awaitable[None] | None = None) -> None:
        """Have what comes from now on answered by code that is loaded anew; every function's if None.

        New workers load it once `after` is done, such as a build, and invocations wait for them. What is running
        finishes on the old code. Returns at once.
        """
        self._pool.reload(None if functions is None else frozenset(functions), after)

    def hello(self) -> Mapping[str, Any]:
        """Return what a connection begins with."""
        return {
            "agent": __version__,
            "functions": self._only,
            "known": self._custody.known(),
            "concurrency": self._concurrency,
            "debug": sorted(self.debug),
        }

    def welcomed(self, now_ms: int | None, connection: Connection) -> None:
        """Learn how far this machine's clock is ahead of the relay's, if by more than a message's way takes."""
        ahead = 0 if now_ms is None else int(time.time() * 1000) - now_ms
        self._ahead_ms = ahead if abs(ahead) > _SAME_CLOCK_MS else 0

    def frame(self, frame: Frame, connection: Connection) -> None:
        """Take a frame about an invocation or a sandbox. Raises `FrameInvalid`."""
        place = (connection, frame.stream)
        if frame.type is FrameType.INVOKE:
            head, first = frame.head()
            self._offered(head, first, connection, frame.stream)
        elif frame.type is FrameType.DATA:
            if place in self._arriving:
                self._arrived(place, frame.payload)
        elif frame.type is FrameType.CREDIT:
            connection.outbox.grant(frame.stream, frame.credit())
            connection.wake()
        elif frame.type is FrameType.RECEIVED:
            self._received(place)
        elif frame.type is FrameType.CANCEL:
            self._cancelled(place)
        elif frame.type is FrameType.SANDBOX:
            self._pool.has_sandbox(_sandbox(frame.document()))
        else:
            raise FrameInvalid(f"{frame.type.name} from the relay")

    def gone(self, connection: Connection) -> None:
        """Forget what had not arrived whole; the relay offers it again."""
        self._arriving = {place: rest for place, rest in self._arriving.items() if place[0] is not connection}
        for place in [place for place in self._attempts if place[0] is connection]:
            self._unbound(place)

    def _offered(self, head: dict[str, Any], first: bytes, connection: Connection, stream: int) -> None:
        attempt = str(head["attempt"])
        offer = self._custody.offered(attempt)
        if offer is Offer.NEW:
            refusal = "It is not here." if head.get("known") else ""
            if not refusal and not self._pool.serves(head["function"]):
                refusal = "The function's code is not on this machine."
            if refusal:
                connection.send(_about(FrameType.REFUSE, stream, {"reason": refusal}))
                return
            self._arriving[connection, stream] = (head, Arriving(int(head["size"])))
            self._arrived((connection, stream), first)
            return
        connection.send(Frame(FrameType.CUSTODY, stream))
        self._bind(attempt, (connection, stream))
        if offer is Offer.DONE:
            self._answer(attempt)
        elif offer is Offer.FORGOTTEN:
            self._send_result(attempt, own_error(_FORGOTTEN))

    def _arrived(self, place: tuple[Connection, int], piece: bytes) -> None:
        connection, stream = place
        head, body = self._arriving[place]
        if granted := body.add(piece):
            connection.send(credit_frame(stream, granted))
        if not body.whole:
            return
        del self._arriving[place]
        attempt = str(head["attempt"])
        taken = self._custody.take(attempt)
        connection.send(Frame(FrameType.CUSTODY, stream))
        self._bind(attempt, place)
        if taken:
            invocation = self._invocation(head, bytes(body.received))
            self._running[attempt] = asyncio.create_task(self._run(invocation))

    def _invocation(self, head: Mapping[str, Any], event: bytes) -> Invocation:
        limit = int(head.get("limit_ms") or head["deadline_ms"]) + self._ahead_ms
        function = str(head["function"])
        return Invocation(
            attempt=str(head["attempt"]),
            function=function,
            request_id=str(head["request_id"]),
            sandbox=str(head.get("sandbox") or ""),
            deadline_ms=limit if function in self.debug else int(head["deadline_ms"]) + self._ahead_ms,
            limit_ms=limit,
            headers=head.get("headers") or {},
            event=event,
            received_ms=int(time.time() * 1000),
        )

    async def _run(self, invocation: Invocation) -> None:
        try:
            outcome = await self._pool.run(invocation)
        except asyncio.CancelledError:
            self._custody.given_up(invocation.attempt, time.monotonic())
            raise
        except UserError as error:
            outcome = own_error(FunctionError("Stagedoor.WorkerFailed", f"{error} {error.detail}".strip()))
        except OSError as error:
            outcome = own_error(FunctionError("Stagedoor.WorkerFailed", f"No worker could be started: {error}"))
        finally:
            self._running.pop(invocation.attempt, None)
        self._custody.done(invocation.attempt, outcome, time.monotonic())
        self._answer(invocation.attempt)

    def _answer(self, attempt: str) -> None:
        """Send an attempt's result where the relay waits for it."""
        outcome = self._custody.outcome(attempt)
        if outcome is not None and attempt in self._bound:
            self._send_result(attempt, outcome)

    def _send_result(self, attempt: str, outcome: Outcome) -> None:
        connection, stream = self._bound[attempt]
        head = {
            "attempt": attempt,
            "kind": outcome.kind,
            "headers": dict(outcome.headers),
            "size": len(outcome.body),
            "started_ms": outcome.started_ms - self._ahead_ms,
            "ended_ms": outcome.ended_ms - self._ahead_ms,
        }
        connection.outbox.send(FrameType.RESULT, stream, head, outcome.body)
        connection.wake()

    def _received(self, place: tuple[Connection, int]) -> None:
        if attempt := self._unbound(place):
            self._custody.received(attempt, time.monotonic())

    def _cancelled(self, place: tuple[Connection, int]) -> None:
        """Nobody waits any more: what has not begun never will; what a worker has it finishes, as in Lambda."""
        self._arriving.pop(place, None)
        place[0].outbox.drop(place[1])
        if attempt := self._unbound(place):
            self._pool.give_up(attempt)

    def _bind(self, attempt: str, place: tuple[Connection, int]) -> None:
        """Answer an attempt on this stream, and on no other."""
        if before := self._bound.get(attempt):
            del self._attempts[before]
        self._bound[attempt], self._attempts[place] = place, attempt

    def _unbound(self, place: tuple[Connection, int]) -> str | None:
        """Return the attempt that was to be answered on a stream, which it is not any more."""
        attempt = self._attempts.pop(place, None)
        if attempt is not None:
            del self._bound[attempt]
        return attempt

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            self._custody.forget(time.monotonic())


def _about(kind: FrameType, stream: int, document: Mapping[str, Any]) -> Frame:
    return Frame(kind, stream, session_frame(kind, document).payload)


def _sandbox(said: Mapping[str, Any]) -> Sandbox:
    environment = {str(name): str(value) for name, value in (said.get("environment") or {}).items()}
    return Sandbox(str(said["sandbox"]), str(said["function"]), environment, said.get("credentials") or {})
