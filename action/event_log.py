"""A run's events as the job's log: a group for each phase, and a line for what a reader wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from action.runner import Runner

_TITLES = {
    "fetch": "Fetch the commit",
    "install": "Install what the app needs",
    "synth": "Run the app's program",
    "inspect": "Inspect and rewrite the assembly",
    "plan": "Plan",
    "publish": "Publish assets",
    "apply": "Change stacks",
    "remove": "Remove",
}


class EventLog:
    """Writes events (`stagedoor.events.Event` as JSON, which may be anybody's text) to the log."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def write(self, kind: str, event: Mapping[str, Any]) -> None:
        """Write one event."""
        subject, status, message = (str(event.get(key) or "") for key in ("subject", "status", "message"))
        took = event.get("seconds")
        seconds = f" ({took:.1f} s)" if isinstance(took, (int, float)) and not isinstance(took, bool) else ""
        if kind == "phase":
            self._phase(subject, status, seconds)
        elif kind == "log":
            self._runner.line(message, subject)
        elif kind == "warning":
            self._runner.line(message, f"warning: {subject}" if subject else "warning")
        else:
            said = f": {message}" if message else ""
            self._runner.line(f"{subject} {status}{seconds}{said}", kind)

    def close(self) -> None:
        """End the last phase's group."""
        self._runner.close()

    def _phase(self, name: str, status: str, seconds: str) -> None:
        if status == "started":
            self._runner.open(_TITLES.get(name, name or "Run"))
        else:
            self._runner.line(f"{status}{seconds}", name)
            self._runner.close()
