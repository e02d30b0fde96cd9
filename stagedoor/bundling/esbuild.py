"""esbuild: which version, where its main file is, and how it is asked to bundle one function."""

import json
from pathlib import Path

from stagedoor.bundling.wanted import FORMATS, NodeWanted

ESBUILD = "0.28.2"
"""The version that is used where the app has none of its own."""

MAIN = Path("node_modules", "esbuild", "lib", "main.js")
PROGRAM = Path(__file__).with_name("esbuild_once.mjs")


def install_words(folder: Path) -> tuple[str, ...]:
    """Return what npm is told to install it into a folder."""
    # Its install script only replaces a launcher by the program itself, which the library finds anyway.
    words = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder))
    return (*words, f"esbuild@{ESBUILD}")


def own_esbuild(entry: Path, root: Path) -> Path | None:
    """Return the main file of the esbuild that code of the repository would import."""
    for folder in entry.parents:
        if (folder / MAIN).is_file():
            return folder / MAIN
        if folder == root:
            return None
    return None


def words_of(main: Path, wanted: NodeWanted, root: Path, output: Path, *, linked: bool) -> tuple[str, ...]:
    """Return the arguments of Node that bundle a file of the repository `root` into the folder `output`.

    `linked`: its `node_modules` is a link, to be taken for the folder itself.
    """
    order = {
        "root": str(root),
        "entry": wanted.source,
        "output": str(output),
        "file": FORMATS[wanted.format],
        "format": wanted.format,
        "target": wanted.target,
        "minify": wanted.minify,
        "sourceMap": wanted.source_map,
        "external": list(wanted.external),
        "preserveSymlinks": linked,
    }
    return (str(PROGRAM), str(main), json.dumps(order))
