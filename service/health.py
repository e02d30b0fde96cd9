"""Whether this container's roles are alive: what its health check asks. The standard library alone, to start fast.

Each role leaves a file in `STAGEDOOR_HEALTH_DIR`: the front door one with its own address, which has to answer; a
worker one that it touches for as long as it minds its processes. Where the variable is not set nothing is left.

    python -m service.health
"""

import http.client
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

VARIABLE = "STAGEDOOR_HEALTH_DIR"
STALE_SECONDS = 30.0
ANSWER_SECONDS = 4.0
BEAT_SECONDS = 5.0


class Beat:
    """A worker's sign of life. `beat` may be called as often as one likes; it touches its file every few seconds."""

    def __init__(self, folder: Path | None, role: str) -> None:
        self._file = folder / f"{role}.beat" if folder else None
        self._last = -BEAT_SECONDS

    def beat(self) -> None:
        """Say that this process is alive and does what it is for."""
        if self._file is not None and time.monotonic() - self._last >= BEAT_SECONDS:
            self._last = time.monotonic()
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch()


def answers_at(folder: Path | None, role: str, port: int) -> None:
    """Say on which port of this machine a front door answers."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{role}.url").write_text(f"http://127.0.0.1:{port}/healthz")


def sick(folder: Path, now: float) -> list[str]:
    """Return what is wrong with the roles that left a file in `folder`; no role at all is wrong, too.

    `now` is seconds since 1970, as the files' times are.
    """
    found = [
        f"{file.stem} has not given a sign of life for {now - file.stat().st_mtime:.0f} s"
        for file in sorted(folder.glob("*.beat"))
        if now - file.stat().st_mtime > STALE_SECONDS
    ]
    found += [f"{file.stem} does not answer" for file in sorted(folder.glob("*.url")) if not _answers(file.read_text())]
    if not any(folder.glob("*.beat")) and not any(folder.glob("*.url")):
        found.append("no role has started")
    return found


def _answers(url: str) -> bool:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", place.path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    """Print what is wrong and return 1, or return 0."""
    wrong = sick(Path(os.environ.get(VARIABLE, "")), time.time())
    print(*(wrong or ["well"]), sep="; ")  # noqa: T201 - a health check's output is kept with its result
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
