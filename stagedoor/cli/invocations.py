"""What `stagedoor dev` shows while the agent runs: each invocation as it ends, with what it logged under it.

With `--json` each of the agent's events is a line, as it comes.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import click

from stagedoor.cli.words import plain, seconds_text
from stagedoor.live.agent_events import (
    AgentEvent,
    Connected,
    Cut,
    Imported,
    InvocationFinished,
    InvocationStarted,
    LogLine,
    Others,
    WorkerEnded,
    WorkerStarted,
)
from stagedoor.live.event_source import event_source
from stagedoor.live.reload import BuildFailed, Reloaded

Write = Callable[[str], None]
_KEPT_LINES = 2_000
"""Lines of one invocation that are kept until it ends; more are shown as they come."""

_QUIET_ENDS = frozenset({"reloaded", "idle", "stopped"})


@dataclass(slots=True)
class _Running:
    source: str
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Lines:
    """Shows events for a person. `names` are what functions are called, by their physical names."""

    names: Mapping[str, str]
    write: Write = click.echo
    _running: dict[str, _Running] = field(default_factory=dict)
    _alone: bool = True

    def show(self, event: AgentEvent | Reloaded | BuildFailed) -> None:
        """Write what there is to say now."""
        match event:
            case InvocationStarted():
                self._running[event.attempt] = _Running(event_source(event.event))
            case LogLine():
                self._log(event)
            case InvocationFinished():
                self._finish(event)
            case WorkerEnded() if event.why not in _QUIET_ENDS:
                self._say(f"{self._name(event.function)}: {event.why}", fg="red")
            case Reloaded():
                several = f" and {len(event.files) - 1} more" if len(event.files) > 1 else ""
                who = ", ".join(sorted(map(self._name, event.functions)))
                self._say(f"{event.files[0].name}{several} changed: {who}", dim=True)
            case BuildFailed():
                self._say(f"{self._name(event.function)} cannot be built:\n{plain(event.problem)}", fg="red")
            case Connected() | Cut() | Others():
                self._connection(event)

    def _connection(self, event: Connected | Cut | Others) -> None:
        match event:
            case Connected(resumed=True):
                self._say("Connected again; nothing was lost.")
            case Connected():
                self._say(f"Connected to {event.stage} as {event.developer}. Ctrl-C disconnects.", fg="green")
            case Cut():
                self._say(f"The connection is cut and being made again: {event.reason}", fg="yellow")
            case Others(others=()):
                if not self._alone:
                    self._say("Nobody else is on this stage now.", dim=True)
                self._alone = True
            case Others():
                what = (f"{one.name} ({', '.join(map(self._name, one.functions)) or 'all'})" for one in event.others)
                self._say(f"Also on this stage: {', '.join(what)}", dim=True)
                self._alone = False

    def _log(self, event: LogLine) -> None:
        text = plain(event.text.rstrip("\n"))
        running = self._running.get(event.attempt or "")
        if running is not None and len(running.lines) < _KEPT_LINES:
            running.lines += text.splitlines()
            return
        for line in text.splitlines():
            self._say(f"{self._name(event.function)} | {line}", dim=True)

    def _finish(self, event: InvocationFinished) -> None:
        running = self._running.pop(event.attempt, _Running("event"))
        took = f"{event.duration_ms:.0f} ms" if event.duration_ms < 10_000 else seconds_text(event.duration_ms / 1000)
        head = f"{self._name(event.function)}  {running.source}  "
        if event.error is None:
            self._say(f"{head}{click.style(took, fg='green')}")
        else:
            self._say(head + click.style(f"failed after {took}", fg="red"))
        for line in [*running.lines, *problem_lines(event.error, running.lines)]:
            self.write(f"           | {line}")

    def _say(self, text: str, **style: Any) -> None:
        self.write(f"{time.strftime('%H:%M:%S')}  {click.style(text, **style) if style else text}")

    def _name(self, function: str) -> str:
        return self.names.get(function, function)


@dataclass(slots=True)
class JsonLines:
    """Writes each event as a line, for programs; docs/cli.md has their shapes."""

    names: Mapping[str, str]
    write: Write = click.echo

    def show(self, event: AgentEvent | Reloaded | BuildFailed) -> None:
        """Write the event."""
        if isinstance(event, Imported | WorkerStarted):
            return
        said = {"event": _KINDS.get(type(event), type(event).__name__), **_plain(event)}
        if isinstance(event, InvocationStarted):
            said |= {"event": "started", "source": event_source(event.event), "size": len(event.event)}
        if "function" in said:
            said["name"] = self.names.get(said["function"], said["function"])
        self.write(json.dumps(said, default=str))


_KINDS: Mapping[type, str] = {
    BuildFailed: "build-failed",
    Connected: "connected",
    Cut: "cut",
    InvocationFinished: "finished",
    InvocationStarted: "started",
    LogLine: "printed",
    Others: "others",
    Reloaded: "reloaded",
    WorkerEnded: "worker-ended",
}


def _plain(event: AgentEvent | Reloaded | BuildFailed) -> dict[str, Any]:
    if isinstance(event, InvocationStarted):
        return {"attempt": event.attempt, "function": event.function, "request_id": event.request_id}
    if isinstance(event, Reloaded):
        return {"functions": sorted(event.functions), "files": [str(file) for file in event.files]}
    return asdict(event)


def problem_lines(error: Mapping[str, Any] | None, logged: Sequence[str]) -> list[str]:
    """Return a function error as Lambda's document has it, unless it was logged: Python's runtime client does that."""
    if error is None:
        return []
    trace = error.get("stackTrace") or error.get("trace") or []
    lines = [line for each in trace if isinstance(each, str) for line in plain(each.rstrip("\n")).splitlines()]
    said = f"{error.get('errorType') or 'Error'}: {plain(str(error.get('errorMessage', '')))}".splitlines()
    if any(line.endswith(f"] {said[0]}") for line in logged):
        return []
    # Node's trace begins with what is said, Python's has it nowhere.
    return lines if lines[: len(said)] == said else [*lines, *said]
