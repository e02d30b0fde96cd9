"""What long work says while it goes on: a run's log, its steps, its stacks and resources.

The engine emits events and does not know who listens: the CLI draws a tree of them, the service stores them for the
console and the pull request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class EventKind(StrEnum):
    """What an event is about, and so what its `subject` names."""

    PHASE = "phase"  # subject: fetch, synth, inspect, plan, publish, apply, remove; status: started, done, failed
    LOG = "log"  # subject: who printed the line (synth, install, bundle, git); status: hit (used again), warm, done
    ASSET = "asset"  # subject: the asset's display name; status: uploading, uploaded, present, failed
    STACK = "stack"  # subject: the stack's name; status: CloudFormation's own, unchanged, or waiting (for blockers)
    RESOURCE = "resource"  # subject: stack/logical id; status: CloudFormation's own
    WARNING = "warning"  # something the person should know that stops nothing


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `seconds` is how long it took, where that is known; `data` must be plain JSON."""

    kind: EventKind
    subject: str
    status: str = ""
    message: str = ""
    seconds: float | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


Emit = Callable[[Event], None]
"""Takes an event and returns at once. May raise `LeaseLost` or `Cancelled` to stop the work at a safe point."""


def silent(_event: Event) -> None:
    """Listen to nothing."""
