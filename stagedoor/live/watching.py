"""Which files of a repository have changed, as they change: batches of `Change`.

Folders are watched one by one, so that those of packages, caches and git cost nothing. A save is told at once; what git
does to a tree (a checkout, a rebase) is told as one batch, when git is done.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path

from watchfiles._rust_notify import RustNotify

from stagedoor.errors import UserError
from stagedoor.live.import_graph import Change, Kind

IGNORED = frozenset({"__pycache__", "node_modules", "cdk.out", "site-packages"})
"""Folders that hold no code of the app's own. Hidden folders, environments and marked caches are left out as well."""

STEP_MS = 5
"""Milliseconds without a change after which those seen so far are told: an editor's save is several in less."""

LONGEST_MS = 500
"""Milliseconds after which a stream of changes is told although it goes on."""

FOLDERS_LIMIT = 8_000
"""Watched at most: Linux gives a user 8,192 by default in the oldest kernels in use."""

_GIT_SECONDS = 20.0
_KINDS = {1: Kind.ADDED, 2: Kind.MODIFIED, 3: Kind.DELETED}


class TooManyFolders(UserError):
    """The kernel lets this user watch fewer folders than the repository has."""

    id = "too-many-folders"


def source_folders(root: Path) -> list[Path]:
    """Return a folder and those below it in which an app's own code may be, at most `FOLDERS_LIMIT`."""
    found: list[Path] = []
    waiting = [root]
    while waiting and len(found) < FOLDERS_LIMIT:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                listed = list(entries)
        except OSError:
            continue
        names = {entry.name for entry in listed}
        if names & {"pyvenv.cfg", "CACHEDIR.TAG"}:
            continue
        found.append(folder)
        waiting += [
            Path(entry.path)
            for entry in listed
            if entry.name not in IGNORED and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
        ]
    return found


class Watcher:
    """Watches the code below `roots`, and `more` folders, without those below them, that are named while it runs."""

    def __init__(self, roots: Iterable[Path], repository: Path) -> None:
        self._roots = [root.resolve() for root in roots]
        self._lock = _git_folder(repository) / "index.lock"
        self._more: set[Path] = set()
        self._again = threading.Event()
        self._seen: dict[Path, Kind] = {}
        self._told: dict[Path, tuple[int, int, int] | None] = {}
        self._news = asyncio.Event()
        self.watching = asyncio.Event()
        """Set as soon as nothing that changes is missed."""

    def also(self, folders: Iterable[Path]) -> None:
        """Watch these folders, too."""
        fresh = {folder for folder in folders if folder not in self._more and folder.is_dir()}
        if fresh:
            self._more |= fresh
            self._again.set()

    async def changes(self) -> AsyncIterator[list[Change]]:
        """Yield what has changed since the last time, until it is closed."""
        watching = asyncio.create_task(self._watch())
        try:
            while True:
                news = asyncio.create_task(self._news.wait())
                try:
                    await asyncio.wait({news, watching}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
                if watching.done():
                    watching.result()
                await self._git_done()
                self._news.clear()
                seen, self._seen = self._seen, {}
                changes = [Change(_as_it_is(kind, path), path) for path, kind in sorted(seen.items())]
                if fresh := [change for change in changes if self._is_news(change.path)]:
                    yield fresh
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        """Watch until cancelled. A new folder needs a new watcher; what changes meanwhile is found by its time."""
        since = 0
        while True:
            self._again = threading.Event()
            more = {folder for folder in self._more if folder.is_dir()}
            folders = {folder for root in self._roots for folder in source_folders(root)} | more
            opened = time.time_ns()
            try:
                watcher = RustNotify([str(folder) for folder in folders], False, False, 0, False, True)
            except FileNotFoundError:  # a folder went away since it was listed
                continue
            except OSError as error:
                raise TooManyFolders(
                    f"{len(folders)} folders cannot be watched for changes ({error}).",
                    "Raise the kernel's limit: sysctl fs.inotify.max_user_watches=524288.",
                ) from error
            with watcher:
                if since:
                    self._found(_changed_since(since, folders))
                self.watching.set()
                since = opened
                await self._watch_with(watcher, folders)

    async def _watch_with(self, watcher: RustNotify, folders: set[Path]) -> None:
        again = self._again
        while not again.is_set():
            try:
                seen = await asyncio.to_thread(watcher.watch, LONGEST_MS, STEP_MS, 0, again)
            except asyncio.CancelledError:
                again.set()
                raise
            if not isinstance(seen, set):
                return
            changes = [(_KINDS[kind], Path(path)) for kind, path in seen]
            self._found(changes)
            if any(kind is Kind.ADDED and _is_new(path, folders) for kind, path in changes):
                again.set()

    def _is_news(self, path: Path) -> bool:
        """Say whether a file is not as it was when it was last told: one save may be seen in two turns."""
        try:
            status = path.stat()
            state = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            state = None
        told = self._told.get(path, ())
        self._told[path] = state
        return told != state

    def _found(self, changes: Iterable[tuple[Kind, Path]]) -> None:
        for kind, path in changes:
            if not _is_passing(path.name):
                self._seen[path] = kind
                self._news.set()

    async def _git_done(self) -> None:
        """Wait while git changes the tree: it holds this lock from before the first file to after the last."""
        until = time.monotonic() + _GIT_SECONDS
        waited = False
        while self._lock.exists() and time.monotonic() < until:
            waited = True
            await asyncio.sleep(0.01)
        if waited:
            await asyncio.sleep(5 * STEP_MS / 1000)


def _git_folder(repository: Path) -> Path:
    """Return where git keeps its index: of a work tree beside others, `.git` is a file that says so."""
    place = repository / ".git"
    with suppress(OSError):
        said = place.read_text()
        return repository / said.removeprefix("gitdir:").strip()
    return place


def _as_it_is(kind: Kind, path: Path) -> Kind:
    """Return what a change has come to: an editor's save by renaming is told as a deletion and an addition."""
    if not path.exists():
        return Kind.DELETED
    return Kind.ADDED if kind is Kind.DELETED else kind


def _is_passing(name: str) -> bool:
    """Say whether a name is that of a file which an editor makes beside the one that it saves."""
    return name.endswith(("~", ".swp", ".swx", ".tmp", "___jb_tmp___", "___jb_old___")) or name.startswith((".#", "#"))


def _is_new(path: Path, folders: set[Path]) -> bool:
    return path not in folders and path.is_dir() and path.name not in IGNORED and not path.name.startswith(".")


def _changed_since(since: int, folders: Iterable[Path]) -> Iterable[tuple[Kind, Path]]:
    """Yield the files that were written, or moved to their place, after a time in nanoseconds."""
    for folder in folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_file() and entry.stat().st_ctime_ns >= since:
                        yield Kind.ADDED, Path(entry.path)
