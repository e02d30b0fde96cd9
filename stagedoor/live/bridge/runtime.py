"""The deployed code: the runtime that would have stood here, and the Runtime API that it asks instead of Lambda's.

What it posts goes to the real Runtime API as it is, streams and trailers too, and every path that is not told apart
here (extensions, telemetry, restoring) is passed on both ways. Only `/next` waits for the bridge, which hands out the
invocations that nobody took, with the deadline that they have without us.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time

from stagedoor.live.bridge.attempts import MARGIN_S
from stagedoor.live.bridge.identity import Settings, original
from stagedoor.live.bridge.named_tuple import TYPE_CHECKING
from stagedoor.live.bridge.rapid import API, Gone, Invocation, RuntimeApi
from stagedoor.live.bridge.wire import Broken, Connection, Head

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Runtime:
    """One life of the real runtime's process. It has one invocation at a time, as in any sandbox."""

    def __init__(self, command: list[str], settings: Settings, environment: Mapping[str, str], api: RuntimeApi) -> None:
        self.api = api
        self.status: int | None = None
        """What the process ended with; negative for a signal. None while it runs."""
        self._timeout_s = settings.timeout_s
        self._changed = threading.Condition()
        self._first: Invocation | None = None  # its initialization is part of this one
        self._asks = self._asked = False  # it waits for an event; it ever has
        self._offered: Invocation | None = None  # to be handed out
        self._given: Invocation | None = None  # it has this one
        self._answering = self._answered = False
        self.late = False
        """Whether it was ended for taking longer than the function may."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        threading.Thread(target=self._accept, daemon=True).start()
        told = original(environment)
        told["AWS_LAMBDA_RUNTIME_API"] = f"127.0.0.1:{self._listener.getsockname()[1]}"
        command = [settings.wrapper, *command] if settings.wrapper else command
        # posix_spawn hands on what is not marked otherwise, and so the descriptor that Lambda reads logs from.
        self.pid = os.posix_spawnp(command[0], command, told, setpgroup=0)
        threading.Thread(target=self._reap, daemon=True).start()

    def ready(self, ends: float | None = None, first: Invocation | None = None) -> bool:
        """Wait until it asks for an event, has ended or `ends` (monotonic) has come; return whether it asks.

        With an invocation already under way, `first`, an error in its initialization is that invocation's: Lambda
        takes none of a runtime that asked for an event before.
        """
        with self._changed:
            self._first = first
            self._wait(lambda: self._asks or self.status is not None, ends)
            return self._asks and self.status is None

    def answer(self, invocation: Invocation) -> bool:
        """Hand out an invocation and wait for the answer and for the next request for an event.

        Returns False for one that has to be answered in its place: it is past the function's own time-out, or the
        process is gone (`status`) without a word.
        """
        own = time.monotonic() + self._timeout_s
        ends = min(own, time.monotonic() + invocation.deadline_ms / 1e3 - time.time() - MARGIN_S)
        with self._changed:
            if self.status is None:
                self._answering = self._answered = False
                self._offered = invocation
                self._changed.notify_all()
                self._wait(lambda: (self._answered and self._asks) or self.status is not None, ends)
            self.late = self.status is None and not (self._answered and self._asks)
        if self.late:
            self.end()
        return self._answering or self._answered

    def end(self) -> None:
        """Kill it, with all that it started, and see it dead."""
        self.signal(signal.SIGKILL)
        with self._changed:
            self._wait(lambda: self.status is not None, time.monotonic() + 2)

    def signal(self, number: int) -> None:
        """Send a signal to it and what it started."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def _wait(self, done: Callable[[], bool], ends: float | None) -> None:
        self._changed.wait_for(done, None if ends is None else max(ends - time.monotonic(), 0))

    def _reap(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        with self._changed:
            self.status = os.waitstatus_to_exitcode(status)
            self._changed.notify_all()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(Connection(accepted),), daemon=True).start()

    def _serve(self, runtime: Connection) -> None:
        """Answer the requests that come on one connection."""
        lambda_: Connection | None = None
        try:
            while True:
                head = runtime.head()
                if (
                    _said(head) == ("GET", "invocation", "next") and self._given is None
                ):  # with an event in hand, Lambda says what it says
                    self._hand_out(runtime)
                    continue
                if lambda_ is None or not lambda_.usable():
                    lambda_ = self.api.connect()
                self._pass_on(runtime, head, lambda_)
        except (Broken, Gone):
            pass
        finally:
            runtime.close()
            if lambda_ is not None:
                lambda_.close()

    def _hand_out(self, runtime: Connection) -> None:
        with self._changed:
            self._asks = self._asked = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._offered is not None or self.status is not None)
            invocation, self._offered = self._offered, None
            if invocation is None:
                raise Broken("it has ended")
            self._given, self._asks = invocation, False
        deadline = min(int((time.time() + self._timeout_s) * 1e3), invocation.deadline_ms)
        fields = [
            (name, str(deadline) if name.lower() == "lambda-runtime-deadline-ms" else value)
            for name, value in invocation.headers
        ]
        fields.append(("Content-Length", str(len(invocation.event))))
        runtime.send(Head("HTTP/1.1 200 OK", fields), invocation.event)

    def _pass_on(self, runtime: Connection, head: Head, lambda_: Connection) -> None:
        """Pass a request to the real Runtime API and its answer back, byte for byte but for the address."""
        head, answers = self._addressed(head)
        if head.get("expect").lower() == "100-continue":
            runtime.send_raw(b"HTTP/1.1 100 Continue\r\n\r\n")
        sent = Head(head.line, [("Host", self.api.origin.named), *head.without("host", "expect").fields])
        done = False
        try:
            lambda_.send_raw(sent.encoded())
            for piece in runtime.body(head, raw=True):
                try:
                    lambda_.send_raw(piece)
                except Broken:
                    break  # answered before its end, as what is too large is; the answer is there to be read
            answer = lambda_.head()
            done = answer.status < 300 or answer.status == 413
        finally:
            if answers:
                with self._changed:
                    self._answering, self._answered = not done, done
                    self._given = None if done else self._given
                    self._changed.notify_all()
        runtime.send_raw(answer.encoded())
        for piece in lambda_.body(answer, raw=True):
            runtime.send_raw(piece)

    def _addressed(self, head: Head) -> tuple[Head, bool]:
        """Return the request as Lambda is to get it, and whether it answers what the runtime was given."""
        with self._changed:
            given = self._given
            said = _said(head)
            if self._first is not None and not self._asked and said == ("POST", "init", "error"):
                head = Head(f"POST {API}/invocation/{self._first.request_id}/error HTTP/1.1", head.fields)
            elif given is None or said not in _answers(given):
                return head, False
            if self.late:
                raise Broken("it is too late")
            self._answering = True
            return head, True


def _said(head: Head) -> tuple[str, ...]:
    """Return the method and what follows `/VERSION/runtime/`; () where it is not about that."""
    method, _, rest = head.line.partition(" ")
    path = rest.partition(" ")[0].split("/")
    return (method, *path[3:]) if path[2:3] == ["runtime"] and not path[0] else ()


def _answers(given: Invocation) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the requests by which a runtime answers what it was given."""
    return ("POST", "invocation", given.request_id, "response"), ("POST", "invocation", given.request_id, "error")
