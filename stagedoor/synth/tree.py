"""Read files of a stranger's tree in our own, unconfined process.

A link in it may lead to a file of ours, whose text would come out again in an error or in the app's environment; a pipe
would keep us waiting, and a device would never end.
"""

import stat
from pathlib import Path

from stagedoor.errors import Location, UserError

SIZE_LIMIT = 20 * 1024**2
"""Bytes: lock files of large repositories have a few million."""


class UnsafeFile(UserError):
    """A file that says how the app is synthesised is not an ordinary file inside of the repository."""

    id = "unsafe-file"


def exists(file: Path) -> bool:
    """Say whether there is something of this name, be it a link to nowhere."""
    return file.is_symlink() or file.exists()


def read_text(file: Path, root: Path) -> str:
    """Return the text of an ordinary file that really lies in `root`; raise `UnsafeFile` for any other."""
    real = file.resolve()
    inside = real.is_relative_to(root.resolve())
    if not inside or not real.is_file() or not stat.S_ISREG(real.stat().st_mode) or real.stat().st_size > SIZE_LIMIT:
        raise UnsafeFile(
            f"{file.name} is not an ordinary file of the repository of at most {SIZE_LIMIT // 1024**2} MiB.",
            "Commit the file itself, not a link that leads out of the repository.",
            location=Location(str(file.relative_to(root)) if file.is_relative_to(root) else file.name),
        )
    return real.read_text(encoding="utf-8", errors="replace")
