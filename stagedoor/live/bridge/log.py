"""What a bridge writes into the function's log: seldom anything."""

from __future__ import annotations

import sys
import time


def say(line: str) -> None:
    """Write a line of the bridge's own."""
    sys.stderr.write(f"stagedoor: {line}\n")
    sys.stderr.flush()


def stamp(seconds: float) -> str:
    """Return a time as Lambda writes it into a log: ISO 8601 in UTC, with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e3):03d}Z"
