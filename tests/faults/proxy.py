"""A proxy before the local AWS that lets calls fail as they do in the real one.

One call in twenty, by a seeded choice: AWS throttles it, breaks before or after it took effect, cuts the connection
before or after, answers late, or no longer knows the token of a role.
"""

import random
import time
from collections import Counter
from enum import StrEnum

from tests.chaos.proxy import Answer, RecordingProxy, Request


class Fault(StrEnum):
    """What may happen to a call."""

    THROTTLED = "throttled"
    BROKEN_BEFORE = "broken before it took effect"
    BROKEN_AFTER = "broken after it took effect"
    CUT_BEFORE = "cut before it took effect"
    CUT_AFTER = "cut after it took effect"
    SLOW = "slow"
    EXPIRED = "expired token"


_REFUSED = {
    Fault.THROTTLED: (400, "Throttling", "Rate exceeded"),
    Fault.BROKEN_BEFORE: (500, "InternalFailure", "We are sorry"),
    Fault.EXPIRED: (403, "ExpiredToken", "The security token included in the request is expired"),
}


class FaultyProxy(RecordingProxy):
    """A running proxy; `share` of the calls fail. `faults` counts what happened.

    What happens to a call depends on the seed and on what is called for the how-manieth time, not on when: so a
    sequence meets the same faults again under the same seed, whatever runs beside it.
    """

    def __init__(self, aws: str, seed: int, share: float = 0.05, faults: tuple[Fault, ...] = tuple(Fault)) -> None:
        super().__init__(aws, random.Random(seed), reads=(0, 0), changes=(0, 0))
        self._seed = seed
        self._share = share
        self._possible = faults
        self._asked: Counter[str] = Counter()
        self.faults: Counter[Fault] = Counter()

    def pass_on(self, request: Request) -> Answer:
        """Give a request to AWS unless it fails before, and return AWS's answer unless it fails after."""
        what = f"{request.operation} {stack_of(request)}"
        self._asked[what] += 1
        choice = random.Random(f"{self._seed} {what} {self._asked[what]}")
        fault = choice.choice(self._possible) if choice.random() < self._share else None
        if fault is Fault.EXPIRED and "X-Amz-Security-Token" not in request.headers:
            fault = None  # only a role's credentials can be had anew
        if fault:
            self.faults[fault] += 1
        if fault in _REFUSED:
            return refusal(request, *_REFUSED[fault])
        if fault is Fault.CUT_BEFORE:
            raise ConnectionError
        if fault is Fault.SLOW:
            time.sleep(choice.uniform(0.1, 0.5))
        answer = super().pass_on(request)
        match fault:
            case Fault.BROKEN_AFTER:
                return refusal(request, *_REFUSED[Fault.BROKEN_BEFORE])
            case Fault.CUT_AFTER:
                raise ConnectionError
        return answer


def stack_of(request: Request) -> str:
    """Return the name of the stack that a request is about, as far as it says so."""
    name = request.fields.get("StackName", "") or request.fields.get("ChangeSetName", "")
    return name.split("/")[1] if name.startswith("arn:") else name


def refusal(request: Request, status: int, code: str, message: str) -> Answer:
    """Return an error in the protocol of the service that was called: JSON, S3's XML, or the query protocol's."""
    if "X-Amz-Target" in request.headers:
        body = f'{{"__type": "{code}", "message": "{message}"}}'
        return Answer(status, (("Content-Type", "application/x-amz-json-1.1"),), body.encode())
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    text = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>" if request.fields else f"<Error>{error}</Error>"
    return Answer(status, (("Content-Type", "text/xml"),), text.encode())
