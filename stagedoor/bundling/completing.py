"""Put into a bundle what it lacks: installed packages, and what esbuild makes of its source."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from stagedoor.bundling.errors import BundlingFailed, InvalidBundle
from stagedoor.bundling.esbuild import PROGRAM, own_esbuild, words_of
from stagedoor.bundling.installed import check_size
from stagedoor.bundling.installing import Store
from stagedoor.bundling.wanted import BUNDLE_FILE, NodeWanted, PythonWanted, Wanted


def complete(bundle: Path, wanted: Wanted, root: Path, store: Store) -> None:
    """Complete a bundle in its folder; its own files come before those of packages, and its bundle file goes.

    `root` is the repository. Raises `UserError`s.
    """
    if isinstance(wanted, PythonWanted):
        _merge(store.python(wanted) / "packages", bundle)
    else:
        _build(bundle, wanted, root, store)
        if wanted.install or wanted.locked:
            packages = bundle / "node_modules"
            if os.path.lexists(packages):
                raise InvalidBundle("A function's bundle has a node_modules before one is made.", "Take it out.")
            packages.mkdir()
            _merge(store.node(wanted) / "node_modules", packages)
    (bundle / BUNDLE_FILE).unlink()
    check_size(bundle, _size(bundle), wanted.source)


def entry_of(wanted: NodeWanted, root: Path) -> Path:
    """Return the file that a bundle starts from. Raises `InvalidBundle` unless it really lies in the repository."""
    entry = (root / wanted.source).resolve()
    if not entry.is_relative_to(root.resolve()) or not entry.is_file():
        raise InvalidBundle(
            f"A function's bundle starts from {wanted.source}, which is no file of the repository.",
            "Name a file of the repository, not a link that leads out of it.",
        )
    return entry


def _build(bundle: Path, wanted: NodeWanted, root: Path, store: Store) -> None:
    entry = entry_of(wanted, root)
    own = own_esbuild(entry, root)
    main = own or store.esbuild()
    seen = (root, PROGRAM.parent, *(() if own else (main.parents[3],)))
    store.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=store.folder) as passing:
        output = Path(passing)
        words = words_of(main, wanted, root, output, linked=_is_linked(entry, root))
        status, printed = store.run("node", *words, cwd=root, writable=(output,), readable=seen)
        if status:
            raise BundlingFailed(
                f"esbuild could not bundle {wanted.source}.",
                "See what it says below. A package with native parts is installed beside the bundle instead: "
                "name it in `install`.",
                detail=printed,
            )
        _merge(output, bundle)


def _is_linked(entry: Path, root: Path) -> bool:
    """Say whether the packages that the code would find are shown by a link, as they are while a program runs."""
    above = (folder / "node_modules" for folder in entry.parents if folder.is_relative_to(root))
    return next((packages.is_symlink() for packages in above if packages.exists()), False)


def _merge(source: Path, destination: Path) -> None:
    """Copy what is not there yet. Both are folders that a stranger's program may have written: no link is followed."""
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        place = destination / entry.name
        if entry.is_dir(follow_symlinks=False):
            if not os.path.lexists(place):
                place.mkdir(mode=0o755)
            if stat.S_ISDIR(place.lstat().st_mode):
                _merge(Path(entry.path), place)
        elif entry.is_file(follow_symlinks=False) and not os.path.lexists(place):
            shutil.copyfile(entry.path, place)
            place.chmod(0o755 if entry.stat().st_mode & 0o100 else 0o644)


def _size(folder: Path) -> int:
    total = 0
    for place, _folders, files in os.walk(folder):
        total += sum(Path(place, name).lstat().st_size for name in files)
    return total
