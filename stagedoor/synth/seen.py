"""Assemblies of trees that were seen before, by a key that holds all that decides an assembly.

An entry is a folder: `files/`, the assembly as the app wrote it, and `entry.json`, which lists each file with its
SHA-256. Whoever takes an entry copies it file by file and hashes what it copies, so what is used is what was kept: an
entry that was changed, or is not whole, is thrown away. An entry also names the environments of dependencies that it
was made with, and is not used when one of them was made anew since: unlocked dependencies may be others then.
"""

import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagedoor.synth.keeping import oldest_first

ASSEMBLY_LIMIT = 512 * 1024**2
"""Bytes of one assembly; a larger one is not kept."""

TOTAL_LIMIT = 2 * 1024**3
"""Bytes of all assemblies of one trust level; those that were used longest ago go first."""

ENTRIES_LIMIT = 200

_CHUNK = 1024 * 1024
_ABANDONED_SECONDS = 3600


class _NotTheSame(Exception):
    """What is in the cache is not what was put there."""


@dataclass(frozen=True, slots=True)
class SeenAssemblies:
    """The assemblies that one trust level's cache keeps below `folder`."""

    folder: Path

    def take(self, key: str, output: Path) -> list[Path] | None:
        """Copy the assembly that was made under `key` into `output`, which is made.

        Returns the environments that it was made with, None where there is no such assembly.
        """
        entry = self.folder / key
        try:
            listed = _Entry.read(entry, key)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            shutil.rmtree(entry, ignore_errors=True)
            return None
        environments = [Path(environment) for environment in listed.environments]
        if not all(environment.is_dir() for environment in environments):
            return None
        try:
            listed.copy(entry / "files", output)
            os.utime(entry)
        except (OSError, _NotTheSame):
            shutil.rmtree(output, ignore_errors=True)
            shutil.rmtree(entry, ignore_errors=True)
            return None
        return environments

    def keep(self, key: str, assembly: Path, environments: Sequence[Path]) -> frozenset[str]:
        """Keep a copy of `assembly` under `key`, unless it is too large or holds more than files, folders and links.

        Returns the SHA-256 of what is in the assets that are folders, none where nothing was kept.
        """
        staged: frozenset[str] = frozenset()
        with suppress(OSError):  # a full disk costs the next synth its time, nothing else
            self.folder.mkdir(parents=True, exist_ok=True)
            making = self.folder / f"{key}.{secrets.token_hex(4)}"
            try:
                entry = _Entry.make(key, assembly, making / "files", environments)
                if entry is not None:
                    staged = frozenset(digest for path, (digest, _) in entry.files.items() if path.startswith("asset."))
                    (making / "entry.json").write_text(json.dumps(entry.as_json()))
                    with suppress(OSError):  # another process was faster
                        making.rename(self.folder / key)
            finally:
                shutil.rmtree(making, ignore_errors=True)
            self._evict()
        return staged

    def _evict(self) -> None:
        total = 0
        for number, entry in enumerate(reversed(oldest_first(self.folder))):
            total += _size_of(entry)
            if total > TOTAL_LIMIT or number >= ENTRIES_LIMIT or _is_abandoned(entry):
                shutil.rmtree(entry, ignore_errors=True)


@dataclass(slots=True)
class _Entry:
    """What an entry lists: files by path with digest and mode, links with where they lead, folders."""

    key: str
    environments: list[str] = field(default_factory=list)
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    size: int = 0

    @staticmethod
    def read(entry: Path, key: str) -> "_Entry":
        found = json.loads((entry / "entry.json").read_text())
        if found["key"] != key:
            raise ValueError("the entry of another key")
        files = {str(path): (str(digest), int(mode)) for path, (digest, mode) in found["files"].items()}
        return _Entry(key, found["environments"], files, found["links"], found["folders"], found["size"])

    @staticmethod
    def make(key: str, assembly: Path, copy: Path, environments: Sequence[Path]) -> "_Entry | None":
        """Copy an assembly and return what was copied; None when it cannot be kept."""
        entry = _Entry(key, [str(environment) for environment in environments])
        copy.mkdir(parents=True)
        for directory, folders, files in os.walk(assembly):
            for name in (*folders, *files):
                place = Path(directory, name)
                path = place.relative_to(assembly).as_posix()
                status = place.lstat()
                if stat.S_ISLNK(status.st_mode):
                    entry.links[path] = os.readlink(place)
                    (copy / path).symlink_to(entry.links[path])
                elif stat.S_ISDIR(status.st_mode):
                    entry.folders.append(path)
                    (copy / path).mkdir()
                elif _is_plain(status) and entry.size + status.st_size <= ASSEMBLY_LIMIT:
                    entry.size += status.st_size
                    mode = status.st_mode & 0o777
                    entry.files[path] = (_copied(place, copy / path, mode), mode)
                else:
                    return None
        return entry

    def copy(self, files: Path, output: Path) -> None:
        """Write what is listed into `output`; raise `_NotTheSame` when a file is another than the one that was kept."""
        output.mkdir(parents=True)
        for path in self.folders:
            (output / path).mkdir()
        for path, (digest, mode) in self.files.items():
            if _copied(files / path, output / path, mode) != digest:
                raise _NotTheSame(path)
        for path, target in self.links.items():  # last, so that nothing is written through one
            (output / path).symlink_to(target)

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("key", "environments", "files", "links", "folders", "size")}


def _is_plain(status: os.stat_result) -> bool:
    """Say whether it is a file with one name: a copy of a hard link would hide from inspection that it leads out."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _copied(source: Path, destination: Path, mode: int) -> str:
    """Copy a file and return the SHA-256 of what was written."""
    digest = hashlib.sha256()
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as reading, destination.open("xb") as writing:
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
            writing.write(chunk)
        os.fchmod(writing.fileno(), mode | stat.S_IRUSR)
    return digest.hexdigest()


def _is_abandoned(entry: Path) -> bool:
    """Say whether an entry is one that a process began to make, and did not live to end."""
    with suppress(OSError):
        return "." in entry.name and time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS
    return False


def _size_of(entry: Path) -> int:
    """Return what an entry lists of itself; what cannot be read takes its place as one of the entries."""
    try:
        return int(json.loads((entry / "entry.json").read_text())["size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
