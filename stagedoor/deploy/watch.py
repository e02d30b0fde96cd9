"""Following one operation on one stack, and on those nested in it, from their events."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from stagedoor.assembly.template import NESTED_STACK
from stagedoor.deploy.access import may_not_ask
from stagedoor.deploy.clients import Clients
from stagedoor.deploy.pace import Pace
from stagedoor.deploy.stacks import GONE, REVIEW, ActualStack, is_missing, read_stack
from stagedoor.deploy.together import Work, ask
from stagedoor.events import Emit, Event, EventKind

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef

_SILENCE = 15.0
"""Seconds without an event after which the stack itself is asked whether it is still being worked on."""

_INSIDE = 4
"""Nested stacks that one look looks into while their stack is worked on; each of them is one more call."""


@dataclass(slots=True)
class Watch:
    """Follows one operation on one stack: tells each of its events once and remembers the failures in their order.

    `token` is the operation's client request token: what happened before the first event that bears it is not the
    operation's. What comes after is, with any token or none, since a stack has one operation at a time and a cancelled
    one ends under the token of the cancellation. Without a token, whatever is not skipped counts.

    Nested stacks are followed by a watch each, of which `inside` is what comes before its logical ids (`Nested/`),
    `root` the name of the outermost stack, and `since` when its stack's part began. `construct_paths` are by logical
    id, of nested stacks' resources with what comes before it. `reason` is why the stack itself turned back: where no
    resource failed (an export's name is taken, an output cannot be worked out), CloudFormation says it nowhere else.
    """

    clients: Clients
    arn: str
    emit: Emit
    token: str | None = None
    construct_paths: Mapping[str, str] = field(default_factory=dict)
    ordinal: int = 0
    inside: str = ""
    root: str = ""
    since: datetime | None = None
    failures: list["StackEventTypeDef"] = field(default_factory=list)
    reason: str = ""
    _deletions: list["StackEventTypeDef"] = field(default_factory=list)
    _nested: dict[str, "Watch"] = field(default_factory=dict)
    _open: dict[str, bool] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _began: dict[str, datetime] = field(default_factory=dict)
    _begun: bool = False
    _ended: bool = False

    def skip_past(self) -> Work["StackEventTypeDef | None"]:
        """Remember what happened up to when the stack was last at rest, so that it is not told.

        Called before an operation it leaves out all that was before; called in the middle of one, only what was before
        that one. Returns the event with which what goes on in the middle began.
        """
        return (yield from ask(self._skip_past))

    def begin(self, token: str) -> Work[None]:
        """Get ready for the next operation on the stack, which will bear this token."""
        self.token, self.failures, self._deletions, self._begun, self._ended = token, [], [], False, False
        self.reason = ""
        yield from self.skip_past()

    def deletions(self) -> list["StackEventTypeDef"]:
        """Return the events of the operation by which something was deleted, or was not, nested stacks' included."""
        return [*self._deletions, *(event for inner in self._nested.values() for event in inner.deletions())]

    def look(self) -> Work[bool]:
        """Tell what is new; return whether there was anything."""
        news = yield from ask(self._new_events)
        for event in news:
            self._seen.add(event["EventId"])
            self._begun = self._begun or self.token in (None, event.get("ClientRequestToken"))
            if self._begun:
                self._tell(event)
                self._note(event)
        return (yield from self._look_inside()) or bool(news)

    def _look_inside(self) -> Work[bool]:
        """Look into nested stacks that are worked on, a few at a time, and in the end into all: they clean up last."""
        news = False
        for arn in list(self._nested) if self._ended else list(self._open)[:_INSIDE]:
            self.clients.looks.pause(0.0)  # counted, so that the next looks are put off for it
            news = (yield from self._nested[arn].look()) or news
            if self._open.pop(arn, False):  # to the end of those that wait for a look
                self._open[arn] = True
        return news

    def until_finished(self) -> Work[ActualStack]:
        """Wait until the operation has ended, and return the stack as it then is.

        With a token, the end is the stack's own closing event after the operation's first: right after a call the stack
        may still show the status that it had before. Only when nothing was heard for long the stack itself is asked.
        """
        pace, asked_at = Pace(self.clients.looks), 0.0
        while True:
            news = yield from self.look()
            if self._ended or self.token is None or pace.total - asked_at > _SILENCE:
                asked_at = pace.total
                actual = yield from ask(lambda: read_stack(self.clients, self.arn))
                if actual is None:
                    return ActualStack(name="", arn=self.arn, status=GONE)
                if not actual.busy:
                    return actual
            elif news:
                asked_at = pace.total
            yield from self._wait(pace, news=news)

    def _wait(self, pace: Pace, *, news: bool) -> Work[None]:
        """Wait until the next look. Where it is put off, as many others look too, one question for all of them says
        meanwhile whether the stack is still worked on.
        """
        left = pace.next(news=news)
        while left > pace.wish:
            yield pace.wish
            left -= pace.wish
            if not (yield from ask(self._still_busy)):
                return
        yield left

    def _still_busy(self) -> bool:
        try:
            return self.clients.busy.holds(self.arn)
        except ClientError as error:
            if not may_not_ask(error):
                raise
            return True

    def _skip_past(self) -> "StackEventTypeDef | None":
        first: StackEventTypeDef | None = None
        for page in self.clients.cloudformation.get_paginator("describe_stack_events").paginate(StackName=self.arn):
            for place, event in enumerate(page["StackEvents"]):
                if self._is_own(event):
                    if _at_rest(event.get("ResourceStatus", "")):
                        self._seen.update(older["EventId"] for older in page["StackEvents"][place:])
                        return first
                    first = event
        return first

    def _new_events(self) -> list["StackEventTypeDef"]:
        """Return the unseen events, oldest first. They come newest first, so a page with a seen one is the last."""
        unseen: list[StackEventTypeDef] = []
        try:
            for page in self.clients.cloudformation.get_paginator("describe_stack_events").paginate(StackName=self.arn):
                fresh = [event for event in page["StackEvents"] if self._is_news(event)]
                unseen.extend(fresh)
                if len(fresh) < len(page["StackEvents"]):
                    break
        except ClientError as error:
            if not is_missing(error) and not (self.inside and may_not_ask(error)):
                raise
            self._ended = True  # a deleted shell of a stack keeps no events
        return unseen[::-1]

    def _is_news(self, event: "StackEventTypeDef") -> bool:
        return event["EventId"] not in self._seen and (self.since is None or event["Timestamp"] >= self.since)

    def _note(self, event: "StackEventTypeDef") -> None:
        status = event.get("ResourceStatus", "")
        if self._is_own(event):
            self._ended = _at_rest(status)
            if status.endswith(("ROLLBACK_IN_PROGRESS", "_FAILED")):
                self.reason = self.reason or event.get("ResourceStatusReason", "")
            return
        if status.endswith("_FAILED"):
            self.failures.append(event)
        if status in ("DELETE_COMPLETE", "DELETE_FAILED"):
            self._deletions.append(event)
        if event.get("ResourceType") == NESTED_STACK and event.get("PhysicalResourceId", "").startswith("arn:"):
            self._follow(event)

    def _follow(self, event: "StackEventTypeDef") -> None:
        arn, logical_id = event["PhysicalResourceId"], event["LogicalResourceId"]
        if arn not in self._nested:
            self._nested[arn] = Watch(
                self.clients,
                arn,
                self.emit,
                construct_paths=self.construct_paths,
                inside=f"{self.inside}{logical_id}/",
                root=self.root or event["StackName"],
                since=self._began[logical_id],
            )
        self._open[arn] = not _at_rest(event.get("ResourceStatus", ""))

    def _is_own(self, event: "StackEventTypeDef") -> bool:
        return event.get("PhysicalResourceId") == self.arn

    def _tell(self, event: "StackEventTypeDef") -> None:
        status = event.get("ResourceStatus", "")
        logical_id = event.get("LogicalResourceId", "")
        own = self._is_own(event)
        if own and self.inside:  # told as a resource of the stack around it
            return
        key = "" if own else logical_id
        began = self._began.setdefault(key, event["Timestamp"])
        over = not status.endswith("_IN_PROGRESS")
        self.emit(
            Event(
                EventKind.STACK if own else EventKind.RESOURCE,
                event["StackName"] if own else f"{self.root or event['StackName']}/{self.inside}{logical_id}",
                status,
                event.get("ResourceStatusReason", ""),
                (event["Timestamp"] - began).total_seconds() if over else None,
                {"arn": self.arn, "ordinal": self.ordinal}
                if own
                else {
                    "type": event.get("ResourceType", ""),
                    "physical_id": event.get("PhysicalResourceId", ""),
                    "construct_path": self.construct_paths.get(f"{self.inside}{logical_id}", ""),
                },
                event["Timestamp"],
            )
        )


def _at_rest(status: str) -> bool:
    return status == REVIEW or not status.endswith("_IN_PROGRESS")
