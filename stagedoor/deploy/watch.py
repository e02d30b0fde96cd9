"""Waiting for CloudFormation: one thread watches many stacks.

Work on a stack is a generator that yields whenever it has to wait, and `run_together` takes up whichever is due.
Nothing runs at the same time, so nothing needs a lock, and what one raises stops all of them between two calls.
"""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from stagedoor.deploy.clients import Clients
from stagedoor.deploy.stacks import GONE, REVIEW, ActualStack, is_missing, read_stack
from stagedoor.events import Emit, Event, EventKind

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef

FIRST_PAUSE = 0.15
LONGEST_PAUSE = 5.0
_GROWTH = 1.35

Work = Generator[float, None, None]
"""Yields the seconds that it wants to wait, and ends when it is done."""


@dataclass(slots=True)
class Pace:
    """How long to wait between looks: short while much happens, up to five seconds when nothing does."""

    pause: float = FIRST_PAUSE

    def next(self, *, news: bool) -> float:
        """Return the seconds to wait before the next look."""
        self.pause = max(self.pause / 2, FIRST_PAUSE) if news else min(self.pause * _GROWTH, LONGEST_PAUSE)
        return self.pause


@dataclass(slots=True)
class Watch:
    """Follows one operation on one stack: tells each of its events once and remembers the first failure.

    `token` is the operation's client request token: what happened before the first event that bears it is not the
    operation's. What comes after is, with any token or none, since a stack has one operation at a time and a cancelled
    one ends under the token of the cancellation. Without a token, whatever is not skipped counts.
    """

    clients: Clients
    arn: str
    emit: Emit
    token: str | None = None
    construct_paths: Mapping[str, str] = field(default_factory=dict)
    ordinal: int = 0
    failures: list["StackEventTypeDef"] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _began: dict[str, datetime] = field(default_factory=dict)
    _begun: bool = False
    _ended: bool = False

    def skip_past(self) -> None:
        """Remember what happened up to when the stack was last at rest, so that it is not told.

        Called before an operation it leaves out all that was before; called in the middle of one, only what was before
        that one.
        """
        for page in self.clients.cloudformation.get_paginator("describe_stack_events").paginate(StackName=self.arn):
            for place, event in enumerate(page["StackEvents"]):
                if event.get("PhysicalResourceId") == self.arn and _at_rest(event.get("ResourceStatus", "")):
                    self._seen.update(older["EventId"] for older in page["StackEvents"][place:])
                    return

    def look(self) -> bool:
        """Tell what is new; return whether there was anything."""
        news = self._new_events()
        for event in news:
            self._seen.add(event["EventId"])
            self._begun = self._begun or self.token in (None, event.get("ClientRequestToken"))
            if self._begun:
                self._note(event)
                self._tell(event)
        return bool(news)

    def finished(self) -> ActualStack | None:
        """Return the stack when the operation has ended, else None.

        With a token, the end is the stack's own closing event after the operation's first: right after a call the stack
        may still show the status that it had before.
        """
        if self.token is not None and not self._ended:
            return None
        actual = read_stack(self.clients, self.arn)
        if actual is None:
            return ActualStack(name="", arn=self.arn, status=GONE)
        return None if actual.busy else actual

    def until_finished(self) -> Generator[float, None, ActualStack]:
        """Wait until the operation has ended, and return the stack as it then is."""
        pace = Pace()
        while True:
            news = self.look()
            finished = self.finished()
            if finished is not None:
                self.look()
                return finished
            yield pace.next(news=news)

    def _new_events(self) -> list["StackEventTypeDef"]:
        """Return the unseen events, oldest first. They come newest first, so a page with a seen one is the last."""
        unseen: list[StackEventTypeDef] = []
        try:
            for page in self.clients.cloudformation.get_paginator("describe_stack_events").paginate(StackName=self.arn):
                fresh = [event for event in page["StackEvents"] if event["EventId"] not in self._seen]
                unseen.extend(fresh)
                if len(fresh) < len(page["StackEvents"]):
                    break
        except ClientError as error:
            if not is_missing(error):
                raise
            self._ended = True  # a deleted shell of a stack keeps no events
        return unseen[::-1]

    def _note(self, event: "StackEventTypeDef") -> None:
        status = event.get("ResourceStatus", "")
        if event.get("PhysicalResourceId") == self.arn:
            self._ended = _at_rest(status)
        elif status.endswith("_FAILED"):
            self.failures.append(event)

    def _tell(self, event: "StackEventTypeDef") -> None:
        status = event.get("ResourceStatus", "")
        logical_id = event.get("LogicalResourceId", "")
        own = event.get("PhysicalResourceId") == self.arn
        key = "" if own else logical_id
        began = self._began.setdefault(key, event["Timestamp"])
        over = not status.endswith("_IN_PROGRESS")
        self.emit(
            Event(
                EventKind.STACK if own else EventKind.RESOURCE,
                event["StackName"] if own else f"{event['StackName']}/{logical_id}",
                status,
                event.get("ResourceStatusReason", ""),
                (event["Timestamp"] - began).total_seconds() if over else None,
                {"arn": self.arn, "ordinal": self.ordinal}
                if own
                else {
                    "type": event.get("ResourceType", ""),
                    "physical_id": event.get("PhysicalResourceId", ""),
                    "construct_path": self.construct_paths.get(logical_id, ""),
                },
                event["Timestamp"],
            )
        )


def _at_rest(status: str) -> bool:
    return status == REVIEW or not status.endswith("_IN_PROGRESS")


def run_together(
    start: Callable[[], Mapping[str, Work]],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Run works until none is left. `start` is asked after each step for works that may begin now, by name."""
    due: dict[str, tuple[float, Work]] = {}
    while True:
        for name, work in start().items():
            due[name] = (clock(), work)
        if not due:
            return
        name, (when, work) = min(due.items(), key=lambda item: item[1][0])
        sleep(max(0.0, when - clock()))
        try:
            due[name] = (clock() + next(work), work)
        except StopIteration:
            del due[name]


def run_alone(work: Generator[float, None, ActualStack], *, sleep: Callable[[float], None] = time.sleep) -> ActualStack:
    """Run one wait to its end, when there is nothing else to do meanwhile."""
    while True:
        try:
            pause = next(work)
        except StopIteration as end:
            return cast(ActualStack, end.value)
        sleep(pause)
