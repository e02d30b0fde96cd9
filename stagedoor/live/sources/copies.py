"""Which folder of a repository an asset is a copy of, perhaps with dependencies installed beside the code."""

import filecmp
import os
from collections.abc import Iterable
from pathlib import Path

from stagedoor.live.sources.tree import SourceTree
from stagedoor.live.watching import IGNORED

_COMPARED = 300
"""Files of an asset that are compared at most; those nearest to its root first."""

_LEFT_OUT = IGNORED | {"dist-info", "egg-info"}


def handler_files(handler: str, runtime: str) -> list[str]:
    """Return the paths, relative to the code's root, that a handler's module may have, in the order of the runtime.

    Sources: awslambdaric's `_get_handler` (`a/b.c` and `a.b.c` are modules of packages), and `module-loader` of AWS's
    Node client.
    """
    if runtime.startswith("python"):
        module = handler.rpartition(".")[0].replace(".", "/")
        return [f"{module}.py", f"{module}/__init__.py"] if module else []
    folder, _, last = handler.rpartition("/")
    module = f"{folder}/{last.partition('.')[0]}" if folder else last.partition(".")[0]
    return [module + end for end in (".js", ".mjs", ".cjs")]


def folders_like(asset: Path, file: str, tree: SourceTree) -> list[Path]:
    """Return the folders that the asset was made from: those with most of its files, `file` among them, unchanged.

    There are several where the repository has equal copies; none where nothing has this file as it is.
    """
    found = [candidate for candidate in tree.ending(file) if _same(candidate, asset / file)]
    depth = len(Path(file).parts)
    roots = [candidate.parents[depth - 1] for candidate in found]
    if len(roots) < 2:
        return roots
    files = list(_files(asset))
    scores = [sum(_same(root / path, asset / path) for path in files) for root in roots]
    return [root for root, score in zip(roots, scores, strict=True) if score == max(scores)]


def folders_with_all(asset: Path, tree: SourceTree) -> list[Path]:
    """Return the folders that hold each file of the asset, unchanged: what a layer without dependencies came from."""
    files = list(_files(asset))
    if not files:
        return []
    depth = len(Path(files[0]).parts)
    roots = {candidate.parents[depth - 1] for candidate in tree.ending(files[0])}
    return [root for root in sorted(roots) if all(_same(root / path, asset / path) for path in files)]


def _files(folder: Path) -> Iterable[str]:
    found: list[str] = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.endswith(tuple(_LEFT_OUT)))
        found += [str(Path(place, name).relative_to(folder)) for name in sorted(files)]
        if len(found) >= _COMPARED:
            break
    return found[:_COMPARED]


def _same(one: Path, other: Path) -> bool:
    try:
        return one.stat().st_size == other.stat().st_size and filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
