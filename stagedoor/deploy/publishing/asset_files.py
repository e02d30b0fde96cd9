"""What a file asset holds: its files, and their hash.

The hash is taken of the files, not of the archive made from them, so an asset that is there already is not compressed.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stagedoor.assembly.model import FileAsset, Packaging
from stagedoor.errors import UserError

MOST_FILES = 100_000
MOST_BYTES = 4 * 1024**3
"""The most that one asset may hold with its links followed: a few links that lead to each other's folders could make
files without end."""

_CHUNK = 1 << 17
_FORMAT = b"stagedoor-asset-1\n"
"""Part of each hash: raised when what the archive of the same files unpacks to becomes another."""


class AssetOutsideAssembly(UserError):
    """An asset holds a link to a file that is not part of the assembly."""

    id = "asset-outside-assembly"


class AssetTooLarge(UserError):
    """An asset holds more files or bytes than one may, with its links followed."""

    id = "asset-too-large"


@dataclass(frozen=True, slots=True)
class AssetFile:
    """One file of an asset: its path in the archive, where it is read from, whether it can be executed, its bytes."""

    name: str
    path: Path
    executable: bool
    size: int


def asset_files(asset: FileAsset, root: Path) -> list[AssetFile]:
    """Return an asset's files, sorted by name. Links are followed to files inside `root`, a real path, and no further.

    Raises `AssetOutsideAssembly` and `AssetTooLarge`.
    """
    if not asset.source.is_dir():
        only = _inside(asset.source, root)
        return [_file(asset.source.name, only, only.stat())]
    found: list[AssetFile] = []
    total = 0
    for file in _walk(asset.source, root, "", (asset.source.resolve(),)):
        found.append(file)
        total += file.size
        if len(found) > MOST_FILES or total > MOST_BYTES:
            raise AssetTooLarge(
                f"The asset {asset.display_name or asset.claimed_hash!a} holds more than {MOST_FILES} files or "
                f"{MOST_BYTES >> 30} GiB.",
                "Exclude what is not needed from it, and links to folders.",
            )
    return sorted(found, key=lambda file: file.name)


def content_hash(asset: FileAsset, root: Path) -> str:
    """Return the SHA-256 of what the asset holds: names, modes and bytes of its files; of a single file, its bytes."""
    if asset.packaging is Packaging.FILE:
        return bytes_hash(_inside(asset.source, root))
    whole = hashlib.sha256(_FORMAT)
    for file in asset_files(asset, root):
        line = json.dumps([file.name, file.executable, bytes_hash(file.path)], ensure_ascii=True)
        whole.update(line.encode() + b"\n")
    return whole.hexdigest()


def bytes_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _walk(directory: Path, root: Path, prefix: str, above: tuple[Path, ...]) -> Iterator[AssetFile]:
    """Yield the files below a directory. `above` are the real directories around: a link to one of them has no end."""
    with os.scandir(directory) as entries:
        for entry in entries:
            name, path = prefix + entry.name, Path(entry.path)
            if entry.is_symlink():
                path = _inside(path, root)
                if path in above:
                    continue
            if entry.is_dir():
                yield from _walk(path, root, f"{name}/", (*above, path))
            else:
                yield _file(name, path, entry.stat())


def _file(name: str, path: Path, status: os.stat_result) -> AssetFile:
    return AssetFile(name, path, bool(status.st_mode & stat.S_IXUSR), status.st_size)


def _inside(path: Path, root: Path) -> Path:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # nothing is there, or links lead on without end
        real = Path("/")
    if not real.is_relative_to(root):
        raise AssetOutsideAssembly(
            f"The asset file {path.name!r} leads to a place that is not in the assembly.",
            "Put a copy of the file into the asset instead of a link.",
        )
    return real
