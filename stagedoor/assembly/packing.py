"""An assembly as one zip file, and back: the same files always make the same bytes.

What is unpacked may be a stranger's. Nothing is written outside of its folder or through a link, nothing comes out
larger than the limits, and what is no file, directory or link of the assembly's own is refused by name. What the files
say is `inspection.py`'s.
Source: APPNOTE.TXT 6.3.10, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import hashlib
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
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
_NAME_BYTES = 4096
_LINK_BYTES = 4096


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
            directory.mkdir(parents=True)
            links: list[tuple[Path, str]] = []
            for name, entry in names.items():
                path = directory / name
                path.parent.mkdir(parents=True, exist_ok=True)
                if _kind(entry) == stat.S_IFDIR:
                    path.mkdir(exist_ok=True)
                elif _kind(entry) == stat.S_IFLNK:
                    links.append((path, _target(packed, entry, name)))
                else:
                    _write(packed, entry, path)
            # Only now: nothing was written through any of them.
            for path, target in links:
                path.symlink_to(target)
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


def _write(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> None:
    """Write one file, of as many bytes as it was said to have: what says less than it holds does not pass its sum."""
    mode = 0o755 if (entry.external_attr >> 16) & 0o111 else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as target, packed.open(entry) as source:
        shutil.copyfileobj(source, target, _CHUNK)


def _target(packed: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> str:
    """Return where a link leads: somewhere below the archive's own root."""
    if entry.file_size > _LINK_BYTES:
        raise _unsafe(f"the link {name[:200]!a} in it is longer than any path")
    target = packed.read(entry).decode()
    leads_to = os.path.normpath(os.path.join(os.path.dirname(name), target))
    if not target or "\0" in target or os.path.isabs(target) or leads_to.split("/")[0] == "..":
        raise _unsafe(f"{name[:200]!a} in it is a link that leads out of the assembly")
    return target


def _check_size(entries: list[zipfile.ZipInfo], packed: int, limits: InspectionLimits) -> None:
    if len(entries) > limits.files:
        raise _unsafe(f"it holds {len(entries)} files; the limit is {limits.files}")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > UNPACKED_BYTES and unpacked > RATIO * packed:
        raise _unsafe(f"its {packed} bytes would become {unpacked}")
    if unpacked > limits.total_bytes:
        raise _unsafe(f"it holds {unpacked} bytes; the limit is {limits.total_bytes}")


def _checked_name(entry: zipfile.ZipInfo) -> str:
    """Return an entry's path as it is written, or raise. `orig_filename` is what the archive says: `zipfile` cuts a
    name at a NUL.
    """
    said = entry.orig_filename
    name = said.removesuffix("/") if _kind(entry) == stat.S_IFDIR else said
    parts = name.split("/")
    if said != entry.filename or "\\" in name or not name.isprintable() or len(name.encode()) > _NAME_BYTES:
        raise _unsafe(f"{said[:200]!a} in it is no name of a file")
    if PurePosixPath(name).is_absolute() or ".." in parts:
        raise _unsafe(f"it would write {said[:200]!a}, outside of the assembly")
    if "" in parts or "." in parts:
        raise _unsafe(f"{said[:200]!a} in it is no plain path")
    if _kind(entry) not in {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}:
        raise _unsafe(f"{said[:200]!a} in it is neither a file nor a directory")
    if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
        raise _unsafe(f"{said[:200]!a} in it is encrypted, or packed in a way that is not read")
    return name


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


def _unsafe(why: str) -> UnsafeAssemblyArchive:
    return UnsafeAssemblyArchive(
        f"The assembly's archive is not unpacked: {why}.", "Pack the folder that synth wrote, as it is."
    )
