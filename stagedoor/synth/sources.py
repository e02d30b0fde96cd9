"""All that an app's program can read of its repository, as one digest that changes when any of it does.

The whole repository is taken, as the sandbox shows the program the whole repository, except what follows from the rest:
see `_Walk`. A file is not read again while its size, times and inode are those of the last time. That rule is git's,
with git's exception: a file that was changed shortly before it was read may be changed once more within one tick of the
file system's clock, so it is read again ("racy git": https://git-scm.com/docs/racy-git). `ctime` is among the times,
which nobody can set back.

The tree may be a stranger's: nothing is followed out of it, and pipes and devices are never opened.
"""

import hashlib
import json
import marshal
import os
import stat
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from stagedoor.synth.keeping import oldest_first, write_whole

FILES_LIMIT = 100_000
BYTES_LIMIT = 2 * 1024**3
"""Trees with more than this are not known by a digest; their apps are run each time."""

_RACY_NS = 2_000_000_000
"""The coarsest clock of a file system that people use: FAT's two seconds."""

_FORMAT = 1
_INDEXES = 32
_CACHE_TAG = b"Signature: 8a477f597d28d172789f06886806bc55"
"""The first bytes of `CACHEDIR.TAG`, by which tools mark folders that they can make again: https://bford.info/cachedir/"""

_LEFT_OUT = frozenset({"__pycache__", "cdk.out"})
_MADE = frozenset({"stagedoor_resources.pyi", "stagedoor-resources.d.ts"})
_NODE_LOCKS = (".package-lock.json", ".yarn-integrity", ".pnpm/lock.yaml")
_GIT = ("HEAD", "config", "packed-refs", "refs/heads", "refs/tags")

Stat = tuple[int, int, int, int, int]
"""Mode, size, mtime and ctime in nanoseconds, inode: what tells that a file is as it was."""

_stat_of = attrgetter("st_mode", "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")


@dataclass(frozen=True, slots=True)
class Sources:
    """A tree as it was at one time. `index` holds its files' own digests until the tree is read again.

    `changed` are the files that are not as they were when it was read before, None where it was not.
    """

    digest: str
    index: Path
    changed: frozenset[str] | None = frozenset()

    def contents(self) -> dict[str, str]:
        """Return the digest of each file by its path."""
        with self.index.open() as lines:
            next(lines)
            return {path: digest for path, _, digest in map(json.loads, lines)}


def read_sources(root: Path, folder: Path) -> Sources | None:
    """Return the tree below `root` as it is now; None when it is too large. `folder` keeps what is known of trees."""
    index = _index(root, folder)
    looked = time.time_ns()
    try:
        found = _Walk().of(str(root))
    except _TooLarge:
        return None
    signature = _signature(found)
    if digest := _known_digest(index, signature):
        return Sources(digest, index)
    known, settled = _known_files(index)
    contents = {
        path: known[path][1] if path in settled and known[path][0] == list(as_it_is) else _content(root, path, as_it_is)
        for path, as_it_is in found
    }
    there = known.keys() | contents.keys()
    changed = frozenset(path for path in there if path not in known or contents.get(path) != known[path][1])
    digest = hashlib.sha256(json.dumps(sorted(contents.items())).encode()).hexdigest()
    _write_index(index, looked, signature, digest, found, contents)
    return Sources(digest, index, changed if known else None)


def as_it_was(root: Path, folder: Path) -> bool:
    """Say whether the tree looks as it did when it was read last. Nothing of it is read, so this is a guess."""
    try:
        found = _Walk().of(str(root.resolve()))
        with _index(root.resolve(), folder).open() as lines:
            return bool(json.loads(next(lines))["signature"] == _signature(found))
    except (_TooLarge, OSError, ValueError, KeyError, TypeError, StopIteration):
        return False


def _index(root: Path, folder: Path) -> Path:
    return folder / hashlib.sha256(os.fsencode(root)).hexdigest()[:32]


def _signature(found: list[tuple[str, Stat]]) -> str:
    # Version 2 is the last that writes equal values as equal bytes: later ones refer back to what is one object.
    return hashlib.sha256(marshal.dumps(found, 2)).hexdigest()


def unchanged(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Say whether each file of `before` has the same content after; new files are what the program wrote itself."""
    return all(after.get(path) == content for path, content in before.items())


class _TooLarge(Exception):
    """The tree has more in it than is worth to be read."""


class _Walk:
    """What of a tree is looked at. Left out is what follows from the rest or is made by the synth itself:

    compiled Python (`__pycache__`), assemblies (`cdk.out`), the types that `stagedoor types` writes from assemblies,
    caches that are marked as such (`CACHEDIR.TAG`); of an
    installed `node_modules` all but the lock that the installer left in it; of a virtual environment all but the lists
    of what is installed; of `.git` all but where the branches and tags are, and its settings.
    """

    def __init__(self) -> None:
        self._found: list[tuple[str, Stat]] = []
        self._bytes = 0

    def of(self, root: str) -> list[tuple[str, Stat]]:
        """Return the files, links and folders below `root` in a fixed order."""
        self._folder(root, "")
        self._found.sort()
        return self._found

    def _folder(self, folder: str, path: str) -> None:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # the program cannot read it either
            return
        try:
            with os.scandir(descriptor) as entries:
                listed = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
            if "pyvenv.cfg" in listed:
                self._environment(folder, path)
                return
            if "CACHEDIR.TAG" in listed and _is_cache(f"{folder}/CACHEDIR.TAG"):
                return
            files = [name for name, is_folder in listed.items() if not is_folder and name not in _MADE]
            if len(self._found) + len(files) > FILES_LIMIT:
                raise _TooLarge
            self._take(_as_they_are(descriptor, path, files))
        finally:
            os.close(descriptor)
        for name, is_folder in listed.items():
            if is_folder:
                self._subfolder(f"{folder}/{name}", name, f"{path}{name}")

    def _subfolder(self, folder: str, name: str, path: str) -> None:
        if name in _LEFT_OUT:
            return
        if name == "node_modules":
            locks = [lock for lock in _NODE_LOCKS if os.path.lexists(f"{folder}/{lock}")]
            if locks:
                self._only(folder, path, locks)
                return
        if name == ".git":
            self._only(folder, path, _GIT)
            return
        self._found.append((f"{path}/", (stat.S_IFDIR, 0, 0, 0, 0)))
        self._folder(folder, f"{path}/")

    def _environment(self, folder: str, path: str) -> None:
        self._only(folder, path.rstrip("/"), ["pyvenv.cfg"])
        for packages in Path(folder).glob("lib*/python*/site-packages"):
            below = packages.relative_to(folder).as_posix()
            names = sorted(os.listdir(packages))
            lists = [f"{name}/RECORD" for name in names if name.endswith(".dist-info")]
            lists += [name for name in names if name.endswith((".pth", ".egg-link"))]
            self._only(str(packages), f"{path}{below}", lists)

    def _only(self, folder: str, path: str, names: Iterable[str]) -> None:
        for name in names:
            with suppress(OSError):
                status = os.lstat(f"{folder}/{name}")
                if stat.S_ISDIR(status.st_mode):
                    self._folder(f"{folder}/{name}", f"{path}/{name}/")
                else:
                    self._take([(f"{path}/{name}", _stat_of(status))])

    def _take(self, files: list[tuple[str, Stat]]) -> None:
        self._found += files
        self._bytes += sum([as_it_is[1] for _, as_it_is in files])
        if len(self._found) > FILES_LIMIT or self._bytes > BYTES_LIMIT:
            raise _TooLarge


def _as_they_are(folder: int, path: str, names: Iterable[str]) -> list[tuple[str, Stat]]:
    """Return the files of an open folder with what tells that they are as they were. `path` is put before the names.

    Asked from the open folder, as by path the system would walk there once more for each file: this is the most of what
    a tree that was seen before costs.
    """
    try:
        return [
            (f"{path}{name}", _stat_of(os.stat(name, dir_fd=folder, follow_symlinks=False))) for name in sorted(names)
        ]
    except FileNotFoundError:  # one has gone since the folder was listed
        return _as_they_are(folder, path, [name for name in names if _is_there(folder, name)])


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _is_cache(tag: str) -> bool:
    try:
        descriptor = os.open(tag, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    with open(descriptor, "rb") as file:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and file.read(len(_CACHE_TAG)) == _CACHE_TAG


def _content(root: Path, path: str, as_it_is: Stat) -> str:
    """Return what a program would find there: the digest of a file and whether it can be run, or where a link leads."""
    mode = as_it_is[0]
    try:
        if stat.S_ISREG(mode):
            descriptor = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                return f"{'x' if mode & 0o111 else '-'}{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if stat.S_ISLNK(mode):
            return f"l{os.readlink(root / path)}"
    except OSError:
        return "unreadable"
    return f"of kind {stat.S_IFMT(mode):o}"


def _known_digest(index: Path, signature: str) -> str | None:
    """Return the tree's digest where nothing about its files has changed, and none of them may have unseen."""
    try:
        with index.open() as lines:
            head = json.loads(next(lines))
        same = head["format"] == _FORMAT and head["settled"] and head["signature"] == signature
        return str(head["digest"]) if same else None
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None


def _known_files(index: Path) -> tuple[dict[str, tuple[list[int], str]], set[str]]:
    """Return each file as it was the last time, and those whose content is known from that; empty where none is."""
    try:
        with index.open() as lines:
            head = json.loads(next(lines))
            if head["format"] != _FORMAT:
                return {}, set()
            known = {path: (as_it_is, digest) for path, as_it_is, digest in map(json.loads, lines)}
            return known, {path for path, entry in known.items() if _settled(entry[0], head["looked"])}
    except (OSError, ValueError, KeyError, TypeError, IndexError, StopIteration):
        return {}, set()


def _settled(as_it_is: Stat | list[int], looked: int) -> bool:
    """Say whether a file was last changed so long before it was looked at that a later change would show."""
    return max(as_it_is[2], as_it_is[3]) < looked - _RACY_NS


def _write_index(
    index: Path,
    looked: int,
    signature: str,
    digest: str,
    found: list[tuple[str, Stat]],
    contents: Mapping[str, str],
) -> None:
    head = {
        "format": _FORMAT,
        "looked": looked,
        "settled": all(_settled(as_it_is, looked) for _, as_it_is in found),
        "signature": signature,
        "digest": digest,
    }
    lines = [json.dumps(head), *(json.dumps([path, as_it_is, contents[path]]) for path, as_it_is in found)]
    index.parent.mkdir(parents=True, exist_ok=True)
    write_whole(index, "\n".join(lines).encode())
    for old in oldest_first(index.parent)[:-_INDEXES]:
        old.unlink(missing_ok=True)
