"""Looked-up values of an app that no service deploys: a file in the person's cache.

`cdk` writes them into the app's `cdk.context.json` and asks for it to be committed. We write nothing into the app's
folder: what stands there is the author's decision, comes first, and lasts; what stands here is a cache.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stagedoor.synth.context.lookup import still_holds
from stagedoor.synth.synthesis import SynthRequest


def _now() -> datetime:
    return datetime.now(UTC)


class ContextFile:
    """Implements `KeptContext` for one app, account, region and side of trust; `now` tells the time, with its zone.

    A file that cannot be read, or that somebody has put something else into, is as good as none.
    """

    def __init__(self, request: SynthRequest, now: Callable[[], datetime] = _now) -> None:
        place = "\n".join((str(request.app_dir.resolve()), request.account, request.region, request.trust.value))
        self._path = request.cache_dir / "context" / f"{hashlib.sha256(place.encode()).hexdigest()[:32]}.json"
        self._trust = request.trust
        self._now = now

    def read(self) -> Mapping[str, Any]:
        """Return the values that still hold."""
        return {key: entry["value"] for key, entry in self._entries().items()}

    def keep(self, values: Mapping[str, Any]) -> None:
        """Add values. Of two commands that do so at once the later one's stay; the other's are looked up again."""
        if not values:
            return
        read_at = self._now().isoformat()
        entries = self._entries() | {key: {"value": value, "read_at": read_at} for key, value in values.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, passing = tempfile.mkstemp(dir=self._path.parent)
        with os.fdopen(descriptor, "w") as file:
            json.dump(entries, file, indent=1)
        Path(passing).replace(self._path)

    def _entries(self) -> dict[str, dict[str, Any]]:
        try:
            written = json.loads(self._path.read_text())
            return {
                key: {"value": entry["value"], "read_at": entry["read_at"]}
                for key, entry in written.items()
                if still_holds(datetime.fromisoformat(entry["read_at"]), self._now(), self._trust)
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
