"""What a worker prints and logs, taken apart into lines and entries. Pure.

One pipe carries both, so that their order is kept: text as it is printed, and between it entries of the logging library
in the frames that Lambda's runtimes write to `_LAMBDA_TELEMETRY_LOG_FD`: four bytes of kind, four of length, eight of
time, the text. Source: `FramedTelemetryLogSink` in awslambdaric's `bootstrap.py`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FRAME = re.compile(rb"\xa5\x5a\x00[\x02-\x1f]")
_HEADER = 16
_LONGEST = 256 * 1024
"""Lambda's longest log entry (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html)."""

_LEVELS = {0x04: "TRACE", 0x08: "DEBUG", 0x0C: "INFO", 0x10: "WARNING", 0x14: "ERROR", 0x18: "CRITICAL"}


@dataclass(frozen=True, slots=True)
class Printed:
    """One line, or one entry of the logging library with its level."""

    text: str
    level: str | None = None


class Output:
    """The output of one worker, read piece by piece."""

    def __init__(self) -> None:
        self._rest = b""

    def add(self, piece: bytes) -> Iterator[Printed]:
        """Yield what is complete with this piece."""
        self._rest += piece
        while self._rest:
            frame = _FRAME.search(self._rest)
            if frame is None or frame.start() > 0:
                yield from self._lines(frame.start() if frame else None)
                if frame is None:
                    return
                continue
            if len(self._rest) < _HEADER:
                return
            end = _HEADER + int.from_bytes(self._rest[4:8], "big")
            if len(self._rest) < end:
                return
            text, level = self._rest[_HEADER:end], _LEVELS.get(self._rest[3] & 0x1C)
            self._rest = self._rest[end:]
            yield Printed(text.decode(errors="replace").removesuffix("\n"), level)

    def flush(self) -> Iterator[Printed]:
        """Yield what was printed without an end of line; called when an invocation or the worker is at its end."""
        rest, self._rest = self._rest, b""
        if rest and not _FRAME.match(rest):
            yield Printed(rest.decode(errors="replace"))
        elif rest:
            self._rest = rest

    def _lines(self, end: int | None) -> Iterator[Printed]:
        """Yield the lines before a frame; where there is none, what is not a whole line waits."""
        text = self._rest[:end]
        if end is None:
            whole = text.rfind(b"\n") + 1
            if not whole and len(text) < _LONGEST:
                return
            text = text[: whole or None]
        self._rest = self._rest[len(text) :]
        yield from (Printed(line.decode(errors="replace")) for line in text.removesuffix(b"\n").split(b"\n"))
