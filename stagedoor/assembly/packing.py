"""An assembly as one zip file, and back: the same files always make the same bytes.

What is unpacked may be a stranger's. Nothing is written outside of its folder or through a link, nothing comes out
larger than the limits, and what is no file, directory or link of the assembly's own is refused by name. What the files
say is `inspection.py`'s.
Source: APPNOTE.TXT 6.3.10, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import errno
import hashlib
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path, PurePosixPath

from stagedoor.assembly.archives import RATIO, UNPACKED_BYTES, SparingFile
from stagedoor.assembly.inspection import DEFAULT_LIMITS, InspectionLimits
from stagedoor.errors import UserError

_MOMENT = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_UNIX = 3
_ENCRYPTED = 0x1
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_LEVEL = 1  # templates and code shrink by four fifths; the last tenth would take three times as long
_CHUNK = 1024 * 1024
_PATH_BYTES = 2048
_PATH_PARTS = 100
_PART_BYTES = 255
"""The longest that Linux takes of a name, and half of what it takes of a path: ours leads to the archive's folder
(https://man7.org/linux/man-pages/man3/NAME_MAX.3const.html). Deeper folders than that nobody makes."""

_HOPS = 40
"""Links that Linux follows on the way to one file (https://man7.org/linux/man-pages/man7/path_resolution.7.html)."""

_LINKS_BYTES = 8 * 1024**2
"""What all links together may say: it is in memory while they are looked at."""

_OF_NAMES = frozenset(
    {errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR}
)
"""What a file system answers that cannot have such a name, or takes two names for one."""


class UnsafeAssemblyArchive(UserError):
    """An archive that would burst, or write where it must not, or that says the same thing twice."""

    id = "unsafe-assembly-archive"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a directory holds: SHA-256 of all its files with their names, in hexadecimal, and their bytes."""

    digest: str
    size: int


def contents_of(directory: Path) -> Contents:
    """Return what a directory holds. When its files were changed, and by whom they may be read, does not count."""
    digest, total = hashlib.sha256(), 0
    for name, path in _files(directory):
        if path.is_symlink():
            said = f"link {os.readlink(path)}"
        elif path.is_dir():
            said = "directory"
        else:
            with _opened(path) as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            total += path.stat().st_size
            said = f"{'program' if _is_executable(path) else 'file'} {content}"
        digest.update(f"{name}\0{said}\n".encode(errors="surrogateescape"))
    return Contents(digest.hexdigest(), total)


def pack(directory: Path, archive: Path) -> None:
    """Write a directory into one zip file. Only names, contents, links and the right to be run are kept."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL, strict_timestamps=False) as packed:
        for name, path in _files(directory):
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.create_system = _UNIX
            entry.compress_type = zipfile.ZIP_DEFLATED
            if path.is_symlink():
                entry.external_attr = (stat.S_IFLNK | 0o777) << 16
                packed.writestr(entry, os.readlink(path))
            elif path.is_dir():
                entry.filename = f"{name}/"
                entry.external_attr = (stat.S_IFDIR | 0o755) << 16
                packed.writestr(entry, b"")
            else:
                entry.external_attr = (stat.S_IFREG | (0o755 if _is_executable(path) else 0o644)) << 16
                entry.file_size = path.stat().st_size
                with _opened(path) as source, packed.open(entry, "w") as target:
                    shutil.copyfileobj(source, target, _CHUNK)


def unpack(archive: Path, directory: Path, limits: InspectionLimits = DEFAULT_LIMITS) -> None:
    """Write what a zip file holds into a directory, which is made. Raises `UnsafeAssemblyArchive`."""
    try:
        with SparingFile(archive) as file, zipfile.ZipFile(file) as packed:
            entries = packed.infolist()
            _check_size(entries, archive.stat().st_size, limits)
            names = {_checked_name(entry): entry for entry in entries}
            _check_names(entries, names)
            links = {
                name: _target(packed, entry, name) for name, entry in names.items() if _kind(entry) == stat.S_IFLNK
            }
            _Links(links).check()
            directory.mkdir(parents=True)
            for name, entry in names.items():
                with _refusing(name):
                    _write(packed, entry, directory / name)
            # Only now: nothing was written through any of them.
            for name, target in links.items():
                with _refusing(name):
                    (directory / name).symlink_to(target)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        UnicodeError,
        ValueError,
        EOFError,
        struct.error,
        zlib.error,
    ) as error:
        raise _unsafe(f"it cannot be read as an archive ({str(error)[:200]})") from None


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Refuse what the file system cannot take by this name. A full disk, and the like, is no fault of the archive's."""
    try:
        yield
    except OSError as error:
        if error.errno not in _OF_NAMES:
            raise
        raise _unsafe(f"{name[:200]!a} in it cannot be written: {error.strerror}") from None


def _write(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Write a folder; or a file, of as many bytes as it was said to have: what says less than it holds does not pass
    its sum. Of a link only the folder that it will be in.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if _kind(entry) == stat.S_IFDIR:
        path.mkdir(exist_ok=True)
    elif _kind(entry) == stat.S_IFREG:
        mode = 0o755 if (entry.external_attr >> 16) & 0o111 else 0o644
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as target, packed.open(entry) as source:
            shutil.copyfileobj(source, target, _CHUNK)


def _target(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> str:
    """Return what a link says."""
    target = packed.read(entry).decode() if entry.file_size <= _PATH_BYTES else ""
    if not target or "\0" in target or not _is_short(target):
        raise _unsafe(f"the link {name[:200]!a} in it says nothing, or is longer than any path")
    return target


@dataclass(frozen=True, slots=True)
class _Links:
    """The links of an archive, and what each says. Where they lead is known from that: no other link is in the way."""

    said: Mapping[str, str]
    _ends: dict[str, tuple[tuple[str, ...], int]] = field(default_factory=dict)

    def check(self) -> None:
        """Raise where a link leads out of the archive, by itself or by others, or through more than are followed."""
        for name in self.said:
            self._end(name, 1)

    def _end(self, name: str, depth: int) -> tuple[tuple[str, ...], int]:
        """Return the parts of the path that a link leads to in the end, and through how many links. Folders that are
        not there count as if they were, as for `os.path.realpath`, which others ask where the links lead.
        """
        if name in self._ends:
            return self._ends[name]
        if self.said[name].startswith("/"):
            raise _leads_out(name)
        here, hops = PurePosixPath(name).parent.parts, 1
        for part in self.said[name].split("/"):
            if part in ("", "."):
                continue
            if part == "..":
                if not here:
                    raise _leads_out(name)
                here = here[:-1]
                continue
            here = (*here, part)
            if "/".join(here) in self.said and depth < _HOPS:
                here, more = self._end("/".join(here), depth + 1)
                hops += more
            elif "/".join(here) in self.said or len(here) > _PATH_PARTS:
                raise _leads_nowhere(name)
        if hops > _HOPS:
            raise _leads_nowhere(name)
        self._ends[name] = here, hops
        return here, hops


def _check_size(entries: list[zipfile.ZipInfo], packed: int, limits: InspectionLimits) -> None:
    if len(entries) > limits.files:
        raise _unsafe(f"it holds {len(entries)} files; the limit is {limits.files}")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > UNPACKED_BYTES and unpacked > RATIO * packed:
        raise _unsafe(f"its {packed} bytes would become {unpacked}")
    if unpacked > limits.total_bytes:
        raise _unsafe(f"it holds {unpacked} bytes; the limit is {limits.total_bytes}")
    links = sum(entry.file_size for entry in entries if _kind(entry) == stat.S_IFLNK)
    if links > _LINKS_BYTES:
        raise _unsafe(f"its links say {links} bytes; the limit is {_LINKS_BYTES}")


def _checked_name(entry: zipfile.ZipInfo) -> str:
    """Return an entry's path as it is written, or raise. `orig_filename` is what the archive says: `zipfile` cuts a
    name at a NUL.
    """
    said = entry.orig_filename
    name = said.removesuffix("/") if _kind(entry) == stat.S_IFDIR else said
    parts = name.split("/")
    if said != entry.filename or "\\" in name or not name.isprintable() or not _is_short(name):
        raise _unsafe(f"{said[:200]!a} in it is no name of a file")
    if PurePosixPath(name).is_absolute() or ".." in parts:
        raise _unsafe(f"it would write {said[:200]!a}, outside of the assembly")
    if "" in parts or "." in parts:
        raise _unsafe(f"{said[:200]!a} in it is no plain path")
    if _kind(entry) not in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
        raise _unsafe(f"{said[:200]!a} in it is neither a file nor a directory")
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
        raise _unsafe(f"{said[:200]!a} in it is encrypted, or packed in a way that is not read")
    if entry.header_offset < 0:
        raise _unsafe(f"{said[:200]!a} in it begins before the archive does")
    return name


def _is_short(path: str) -> bool:
    """Whether a file system can have such a path."""
    parts = path.encode().split(b"/")
    return len(path.encode()) <= _PATH_BYTES and len(parts) <= _PATH_PARTS and max(map(len, parts)) <= _PART_BYTES


def _check_names(entries: list[zipfile.ZipInfo], names: dict[str, zipfile.ZipInfo]) -> None:
    """Raise where a name is there twice, or is a file's and a folder's at once."""
    if len(names) < len(entries):
        seen: set[str] = set()
        for entry in entries:
            name = entry.filename.removesuffix("/")
            if name in seen:
                raise _unsafe(f"{name[:200]!a} is in it twice")
            seen.add(name)
    for name in names:
        for parent in PurePosixPath(name).parents:
            found = names.get(str(parent))
            if found is not None and _kind(found) != stat.S_IFDIR:
                raise _unsafe(f"{str(parent)[:200]!a} in it is a folder and something else, too")


def _kind(entry: zipfile.ZipInfo) -> int:
    """Return the kind of an entry as `stat` has it; one that a tool of another system wrote says only by its name."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    return kind or (stat.S_IFDIR if entry.filename.endswith("/") else stat.S_IFREG)


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Yield everything below a directory that is a file, a link or an empty directory, by name."""
    found: list[tuple[str, Path]] = []
    for parent, folders, files in os.walk(directory):
        here = Path(parent)
        linked = [folder for folder in folders if (here / folder).is_symlink()]
        for name in (*files, *linked):
            found.append(((here / name).relative_to(directory).as_posix(), here / name))
        if not files and not folders and here != directory:
            found.append((here.relative_to(directory).as_posix(), here))
    return iter(sorted(found))


def _opened(path: Path) -> BufferedReader:
    """Open a file, and not what a link leads to that has taken its place meanwhile."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


def _is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o111)


def _leads_out(link: str) -> UnsafeAssemblyArchive:
    return _unsafe(f"{link[:200]!a} in it is a link that leads out of the assembly")


def _leads_nowhere(link: str) -> UnsafeAssemblyArchive:
    return _unsafe(f"{link[:200]!a} in it is a link that leads to itself, or too far")


def _unsafe(why: str) -> UnsafeAssemblyArchive:
    return UnsafeAssemblyArchive(
        f"The assembly's archive is not unpacked: {why}.", "Pack the folder that synth wrote, as it is."
    )
