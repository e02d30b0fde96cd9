"""The log events of a log group, read on and on: none left out, none twice.

CloudWatch Logs tells events by time, and one may arrive after another that is younger. So each look goes back over the
last minute before the youngest event, and what was told is known by its id.
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from stagedoor.deploy.stacks import error_code

LATE_MS = 60_000
"""How much later than younger ones an event may arrive and still be told."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One event; `at` is in milliseconds since 1970."""

    at: int
    id: str
    group: str
    message: str


@dataclass(slots=True)
class LogTail:
    """A log group from `since` on, in milliseconds since 1970. One that is not there yet has no events."""

    client: Any
    group: str
    since: int
    _newest: int = 0
    _told: dict[str, int] = field(default_factory=dict)

    def read(self) -> list[LogEvent]:
        """Return the events that were not told before, in the order of their times."""
        start = max(self.since, self._newest - LATE_MS)
        seen: Counter[tuple[str, int, str]] = Counter()
        new: list[LogEvent] = []
        for event in self._events(start):
            at, message = event["timestamp"], event.get("message", "")
            alike = (event.get("logStreamName", ""), at, message)
            seen[alike] += 1
            # An emulator gives events no ids: there the first of equal ones is the first each time.
            name = event.get("eventId") or f"{alike}{seen[alike]}"
            if name not in self._told:
                self._told[name] = at
                new.append(LogEvent(at, name, self.group, message))
        self._newest = max((self._newest, *(event.at for event in new)))
        self._told = {name: at for name, at in self._told.items() if at >= self._newest - LATE_MS}
        return sorted(new, key=lambda event: event.at)

    def _events(self, start: int) -> Iterator[dict[str, Any]]:
        pages = self.client.get_paginator("filter_log_events").paginate(logGroupName=self.group, startTime=start)
        try:
            for page in pages:
                yield from page["events"]
        except ClientError as error:
            if error_code(error) != "ResourceNotFound":
                raise
