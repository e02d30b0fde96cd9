"""What follows from what the relay did with an attempt. Pure: times come in as arguments, nothing is sent.

The one rule behind all of it: deployed code never answers an attempt that an agent may have started (docs/live.md).
"""

from __future__ import annotations

from stagedoor.live.bridge.named_tuple import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

GRACE_S = 8.0
"""How long after the relay was last heard a broken connection is still only *cut*."""

SILENCE_S = 6.0
"""A silence of the relay that is taken for a cut; it sends a BEAT each 2 s."""

CONNECT_S = 1.0
"""How long a connection to the relay may take to come about."""

REST_S = 5.0
"""How long a relay that could not be reached is not asked again."""

INLINE = 64 * 1024
"""Most bytes of an event that goes with the first request."""

MARGIN_S = 0.5
"""How long before Lambda ends the sandbox an attempt is answered with an error of our own."""


class Failure(NamedTuple):
    """A function error to post: its type, and the sentence that says what happened."""

    kind: str
    message: str


class Deployed(NamedTuple):
    """The deployed code answers; a reason for the log where it is not simply that nobody is there."""

    reason: str = ""
    rest: bool = False


class Ask(NamedTuple):
    """The relay is to be asked (again) after a pause."""

    pause_s: float = 0.0


class Attempt:
    """What is known of one attempt while it is under way. Times are seconds of the monotonic clock, but for
    `deadline_ms`, when the handler must be done: milliseconds since the epoch, the same each time it is asked.
    """

    def __init__(self, name: str, size: int, now: float, ends: float) -> None:
        self.name = name
        self.with_event = size <= INLINE
        self.with_sandbox = False
        self.again = 0
        self.session = ""
        self.sent = False
        self.heard = now
        self.ends = ends
        self.breaks = 0
        self.tokens = 0
        self.deadline_ms = 0

    def said(self, now: float) -> None:
        """Note that a request of this attempt goes out."""
        if not self.sent:
            self.sent, self.heard = True, now

    def hears(self, now: float) -> None:
        """Note that the relay said something about this attempt."""
        self.heard, self.breaks = now, 0

    def not_reached(self, why: str, now: float) -> Deployed | Ask | Failure:
        """Return what follows from a connection that did not come about."""
        return self.refused(why, now)

    def broken(self, why: str, now: float) -> Ask | Failure:
        """Return what follows from a connection that broke after the request had gone out."""
        if now - self.heard >= GRACE_S:
            return Failure("Stagedoor.Disconnected", f"The connection to {why} was lost for more than {GRACE_S:.0f} s.")
        self.again += 1
        self.breaks += 1
        return Ask(min(0.05 * 2 ** (self.breaks - 1), 1.0) if self.breaks > 1 else 0.0)

    def answered(self, status: int, retry_after: str, now: float) -> Deployed | Ask | Failure:
        """Return what follows from an answer that is not the stream of frames.

        A 429 or 503 with `Retry-After` is the relay's own word, and it holds nothing of this attempt then; a 503
        without is a load balancer's that reached no relay.
        """
        routed = bool(self.again or self.session)
        if status in {429, 503} and retry_after:
            self.hears(now)
            return Ask(min(_seconds(retry_after), REST_S))
        if status == 503 and not routed:
            return Deployed("no relay answers", rest=True)
        if status in {403, 404, 413} and not routed:
            return Deployed(f"the relay refuses this function's invocations ({status})", rest=True)
        return self.broken(f"the relay ({status})", now)

    def refused(self, why: str, now: float) -> Deployed | Ask | Failure:
        """Return what follows from a token that the relay does not give."""
        return self.broken(why, now) if self.sent else Deployed(why, rest=True)

    def unauthorized(self, now: float) -> Deployed | Ask | Failure:
        """Return what follows from a 401: another token, which then has to do."""
        self.tokens += 1
        return Ask() if self.tokens <= 2 else self.answered(403, "", now)

    def wanted(self, document: dict[str, Any]) -> Ask:
        """Return what follows from WANTED: the same request, with what was missed."""
        self.with_event = self.with_event or bool(document.get("event"))
        self.with_sandbox = bool(document.get("sandbox"))
        return Ask()


def _seconds(text: str) -> float:
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 1.0
