"""Assets that are zip archives already, looked at without being unpacked.

We never unpack them; Lambda does, and whatever else the app hands them to. So what would burst or overwrite there is
refused here: an archive that grows out of all proportion, and names that lead out of the folder that it is unpacked in.
What is inside of an archive within an archive is not seen.
Source: APPNOTE.TXT 6.3.10, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import io
import stat
import struct
import zipfile
from pathlib import Path, PurePosixPath

from stagedoor.errors import UserError

DIRECTORY_BYTES = 8 * 1024**2
"""The most that is read of one archive: its central directory. It takes some 80 MB of memory while it is looked at."""

ENTRIES = 50_000
UNPACKED_BYTES = 262_144_000
"""What Lambda takes, unpacked, layers included
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). Less than that is never a bomb."""

RATIO = 100
"""How much larger what is unpacked may be, once it is larger than `UNPACKED_BYTES`. Deflate reaches 1,032 for zeros;
text stays under 20."""

_END_BYTES = 128 * 1024
"""More than the end of an archive can have, comment included. There `zipfile` reads all that is left."""

_ARCHIVE_SUFFIXES = frozenset({".zip", ".jar", ".war", ".ear", ".whl"})


class UnsafeArchive(UserError):
    """An asset that is an archive which would burst, or write outside of its folder, where it is unpacked."""

    id = "unsafe-archive"


def check_archive(path: Path, name: str) -> None:
    """Raise `UnsafeArchive` where a file that is an archive by its name must not be unpacked; `name` is for errors."""
    if path.suffix.lower() not in _ARCHIVE_SUFFIXES:
        return
    try:
        with SparingFile(path) as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, UnicodeError, ValueError, EOFError, struct.error) as error:
        raise _unsafe(name, f"it cannot be read as an archive ({error})") from None
    if len(entries) > ENTRIES:
        raise _unsafe(name, f"it holds {len(entries)} files")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > UNPACKED_BYTES and unpacked > RATIO * path.stat().st_size:
        raise _unsafe(name, f"its {path.stat().st_size} bytes would become {unpacked}")
    for entry in entries:
        _check_entry(entry, name)


def _check_entry(entry: zipfile.ZipInfo, name: str) -> None:
    inside = PurePosixPath(entry.filename.replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts:
        raise _unsafe(name, f"it would write {entry.filename[:200]!a}")
    if stat.S_IFMT(entry.external_attr >> 16) not in {0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
        raise _unsafe(name, f"{entry.filename[:200]!a} in it is neither a file nor a directory")


class SparingFile(io.FileIO):
    """A file that is never read in large pieces: `zipfile` reads as much as the archive's end says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "rb")

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as a file does, but never all that is left, nor more than a directory may have."""
        if size is None or size < 0:
            return super().read(_END_BYTES)
        if size > DIRECTORY_BYTES:
            raise zipfile.BadZipFile(f"a directory of more than {DIRECTORY_BYTES} bytes")
        return super().read(size)


def _unsafe(name: str, why: str) -> UnsafeArchive:
    return UnsafeArchive(
        f"The asset {name!a} must not be unpacked: {why}.", "Hand over a folder, which is packed when it is published."
    )
