"""One JSON object a line on stdout: the events as they come, and the result as the last one."""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from stagedoor.cli.failure import Failure
from stagedoor.cli.screen import Ending, Screen, write
from stagedoor.events import Event


class JsonScreen(Screen):
    """Writes for programs; docs/cli.md has the shape of each line."""

    def heading(self, text: str) -> None:
        """Say nothing: the result holds it."""

    def show(self, event: Event) -> None:
        """Write the event."""
        self.progress.take(event, time.monotonic())
        _write(
            {
                "event": event.kind.value,
                "subject": event.subject,
                "status": event.status,
                "message": event.message,
                "seconds": event.seconds,
                "data": dict(event.data),
                "at": event.at.isoformat(),
            }
        )

    def stopping(self) -> None:
        """Say nothing: the result will."""

    def end(self, ending: Ending) -> None:
        """Write the result."""
        self._close({"ok": True, **ending.data, "outputs": ending.outputs})

    def fail(self, failure: Failure) -> None:
        """Write the error as the result."""
        self._close({"ok": False, "error": failure.as_json()})

    def _close(self, result: Mapping[str, Any]) -> None:
        warnings = [{"subject": event.subject, "message": event.message} for event in self.progress.warnings]
        _write({"event": "result", **result, "warnings": warnings, "seconds": round(self.seconds, 3)})


def _write(value: Mapping[str, Any]) -> None:
    write(sys.stdout, json.dumps(value) + "\n")
