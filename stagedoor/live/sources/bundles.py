"""Which file a bundle of esbuild's was started from.

esbuild writes the path of each module before it, the entry's last, unless the bundle is minified; a source map lists
the same paths (https://esbuild.github.io/api/#sourcemap). Both are relative to a folder that nobody knows any more.
"""

import json
import re
from pathlib import Path

from stagedoor.live.sources.tree import SourceTree

_MODULE = re.compile(r"^// (?!node_modules/)((?:[^\s:]|(?<=\S) (?=\S))+\.[cm]?[jt]sx?)$", re.MULTILINE)
_TAIL = 2_000_000
"""Characters of a bundle's end that are searched: the app's own code comes after its packages."""


def entry_of(bundle: Path, tree: SourceTree) -> list[Path]:
    """Return the files that may be the entry of a bundle: one where all is well."""
    text = bundle.read_text(errors="replace")[-_TAIL:]
    modules = [path for path in _MODULE.findall(text) if "node_modules/" not in path]
    return _in_tree(modules or _from_map(bundle), tree)


def bundled_externals(bundle: Path) -> tuple[str, ...]:
    """Return the packages that were installed beside a bundle rather than put into it."""
    packages = bundle.parent / "node_modules"
    if not packages.is_dir():
        return ()
    names: list[str] = []
    for entry in sorted(packages.iterdir()):
        if entry.name.startswith("@"):
            names += [f"{entry.name}/{inner.name}" for inner in sorted(entry.iterdir())]
        elif not entry.name.startswith("."):
            names.append(entry.name)
    return tuple(names)


def _from_map(bundle: Path) -> list[str]:
    try:
        sources = json.loads(bundle.with_name(f"{bundle.name}.map").read_text())["sources"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [path for path in sources if isinstance(path, str) and "node_modules/" not in path]


def _in_tree(modules: list[str], tree: SourceTree) -> list[Path]:
    """Return the files of the tree that the last module may be; the others, from the same folder, tell them apart."""
    paths = ["/".join(part for part in path.split("/") if part not in ("..", ".")) for path in modules]
    if not paths:
        return []
    found = list(tree.ending(paths[-1]))
    depth = len(Path(paths[-1]).parts)
    for file in found:
        base = file.parents[depth - 1]
        if len(found) > 1 and len(paths) > 1 and all((base / path).is_file() for path in paths):
            return [file]
    return found
