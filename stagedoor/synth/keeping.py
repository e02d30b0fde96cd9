"""Files that are kept for later in a folder that several processes share: whole or not there, the oldest given up."""

import os
import secrets
from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of the old content or all of the new."""
    passing = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        passing.write_bytes(content)
        passing.replace(file)
    except OSError:
        passing.unlink(missing_ok=True)
        raise


def oldest_first(folder: Path) -> list[Path]:
    """Return what is in a folder, that which was used or written longest ago first."""
    times: list[tuple[int, Path]] = []
    for entry in os.scandir(folder):
        try:
            times.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)))
        except FileNotFoundError:  # another process gave it up
            continue
    return [path for _, path in sorted(times)]
