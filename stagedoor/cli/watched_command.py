"""A command that is started again whenever a file changes."""

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import watchfiles

PATIENCE_SECONDS = 5.0
"""How long a command may take to end by itself before it is killed."""

_LOOK_MS = 200
_HANDED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class _Filter(watchfiles.DefaultFilter):
    """What people edit: not what programs write beside it."""

    ignore_dirs = (*watchfiles.DefaultFilter.ignore_dirs, "cdk.out", ".stagedoor", ".ruff_cache", "dist")


def run_watched(argv: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
    """Run a command, and run it again whenever a file below `folder` changes, until a signal ends it.

    It has the terminal and its process group, so Ctrl-C reaches it, too; other signals are handed on. Returns its exit
    code as a shell tells it: 128 and the signal's number where one ended it.
    """
    command = _Command(argv, environment)
    stop = threading.Event()

    def hand_on(number: int, _frame: FrameType | None) -> None:
        command.hand_on(number)
        stop.set()

    before = {number: signal.signal(number, hand_on) for number in _HANDED_ON}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        command.start()
        seen = watchfiles.watch(
            folder, watch_filter=_Filter(), stop_event=stop, rust_timeout=_LOOK_MS, yield_on_timeout=True
        )
        for changes in seen:
            if changes:
                names = sorted({Path(path).name for _, path in changes})
                _say(f"{', '.join(names[:3])} changed: starting {argv[0]} again.")
                command.end()
                command.start()
            elif command.told_end():
                _say(f"{argv[0]} ended with {command.status}. It starts again when a file changes.")
        command.end(signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return command.status


class _Command:
    """The process that is there at the moment."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._argv = argv
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._told = False

    @property
    def status(self) -> int:
        """How the last process ended."""
        code = self._process.returncode if self._process else 0
        return 128 - code if code is not None and code < 0 else code or 0

    def start(self) -> None:
        """Start a process."""
        self._process, self._told = subprocess.Popen(self._argv, env=self._environment), False

    def told_end(self) -> bool:
        """Whether it has ended by itself since this was last asked."""
        ended = self._process is not None and self._process.poll() is not None
        first, self._told = ended and not self._told, ended
        return first

    def hand_on(self, number: int) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Have it end: it is asked to, and killed when it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        if number != signal.SIGINT:  # that one it has had by itself
            self._process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE_SECONDS)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
