"""Run a program, hand its lines on, and end it with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

from action.refusal import Cancelled, Refused

_LINE_LIMIT = 64 * 1024
_GRACE_SECONDS = 2.0


def run(argv: Sequence[str], cwd: Path, env: Mapping[str, str], on_line: Callable[[str], None], timeout: float) -> int:
    """Return the program's exit status. It has a session of its own, which ends with it, or when it is cancelled.

    Raises `Refused` when it takes longer than `timeout` seconds.
    """
    process = subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    over = threading.Event()
    reader = threading.Thread(target=_hand_on, args=(process, on_line, over), daemon=True)
    reader.start()
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise Refused(
            "timed-out", f"The app's program took longer than {timeout:.0f} s.", "Raise the input `timeout`."
        ) from None
    except Cancelled:
        end(process)
        raise
    finally:
        kill(process)
        # What it started in a session of its own may hold the pipe for as long as it likes.
        reader.join(_GRACE_SECONDS)
        over.set()


def _hand_on(process: subprocess.Popen[bytes], on_line: Callable[[str], None], over: threading.Event) -> None:
    stdout = process.stdout
    assert stdout is not None  # noqa: S101 - it was asked for
    for raw in iter(lambda: stdout.readline(_LINE_LIMIT), b""):
        if over.is_set():
            return
        on_line(raw.decode("utf-8", "replace").rstrip("\r\n"))


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a program to end, and all that it started."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a program's session."""
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
