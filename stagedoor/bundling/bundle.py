"""A function's bundle: made from its source, told apart by its contents, and what is still to be put into it."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stagedoor.bundling.source import Source

BUNDLE_FILE = ".stagedoor-bundle.json"
"""In an asset's folder: what is still to be put into it. `completion.py` reads it, and takes it away."""

LEFT_OUT = frozenset({"__pycache__", "node_modules", "cdk.out", "venv", "env"})
"""Folders that are in no bundle; nor is anything whose name begins with a dot."""

RUNTIME = Path(__file__).parents[1] / "runtime"
_RUNTIME_PACKAGE = '"""The part of Stagedoor that is in a function: `stagedoor.runtime`."""\n'


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder that an asset is made of. `digest` is of all that decides what will be in it at last."""

    folder: Path
    digest: str


@dataclass(frozen=True, slots=True)
class PythonWanted:
    """Packages that a bundle lacks: for a version of Python (`3.12`) and an architecture (`x86_64`, `arm64`).

    `requirements` is the text of a requirements file; `folder` is where it was found, from the repository's root.
    """

    requirements: str
    python: str
    architecture: str
    kind: str = "python"


def python_bundle(source: Source, wanted: PythonWanted | None, *, with_runtime: bool) -> Bundle:
    """Make a Python function's bundle: its source, `stagedoor.runtime` where it is used, and what is wanted still."""
    files = dict(_files(source))
    digest = hashlib.sha256()
    for name, file in sorted(files.items()):
        digest.update(f"{name}\0{file.stat().st_mode & 0o111}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    runtime = sorted(RUNTIME.glob("*.py")) if with_runtime else []
    for file in runtime:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    said = json.dumps(asdict(wanted), sort_keys=True) if wanted else ""
    digest.update(said.encode())
    bundle = Bundle(_place() / digest.hexdigest()[:32], digest.hexdigest())
    if bundle.folder.exists():
        return bundle
    passing = Path(tempfile.mkdtemp(dir=bundle.folder.parent))
    for name, file in files.items():
        (passing / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, passing / name)
    if runtime:
        (passing / "stagedoor" / "runtime").mkdir(parents=True, exist_ok=True)
        (passing / "stagedoor" / "__init__.py").write_text(_RUNTIME_PACKAGE)
        for file in runtime:
            shutil.copy(file, passing / "stagedoor" / "runtime" / file.name)
    if said:
        (passing / BUNDLE_FILE).write_text(said)
    passing.rename(bundle.folder)
    return bundle


def read_wanted(folder: Path) -> dict[str, Any] | None:
    """Return what an asset's folder still lacks; None where it is whole."""
    file = folder / BUNDLE_FILE
    return json.loads(file.read_text()) if file.is_file() else None


def _files(source: Source) -> Iterator[tuple[str, Path]]:
    """Yield what of a source goes into its bundle, by its name in there."""
    if source.file.parent == source.root and source.project in (None, source.root) and _is_app(source.root):
        yield source.file.name, source.file
        return
    for file in sorted(source.root.rglob("*")):
        parts = file.relative_to(source.root).parts
        if file.is_file() and not any(part in LEFT_OUT or part.startswith(".") for part in parts):
            yield "/".join(parts), file


def _is_app(folder: Path) -> bool:
    return (folder / "cdk.json").is_file()


def _place() -> Path:
    folder = Path(tempfile.gettempdir(), "stagedoor-bundles")
    folder.mkdir(exist_ok=True)
    return folder
