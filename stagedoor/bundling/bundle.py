"""A function's bundle: made from its source, told apart by its contents, and what is still to be put into it."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from stagedoor.bundling.bytecode import bytecode_of, magic_of
from stagedoor.bundling.local_packages import files_of_local, files_of_source
from stagedoor.bundling.node_needs import locked_beside, node_digest
from stagedoor.bundling.options import NodeOptions, PythonOptions
from stagedoor.bundling.places import cache_folder, repository_of
from stagedoor.bundling.requirements import needed_by
from stagedoor.bundling.runtime_files import runtime_files
from stagedoor.bundling.source import Language, Source
from stagedoor.bundling.wanted import BUNDLE_FILE, NodeWanted, PythonWanted, Wanted, written

ALWAYS_EXTERNAL = ("@aws-sdk/*", "@smithy/*")
"""In Lambda's Node runtimes since Node 18: https://docs.aws.amazon.com/lambda/latest/dg/lambda-nodejs.html."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder that an asset is made of. `digest` is of all that decides what will be in it at last.

    `handler` is what Lambda is told: from the bundle, where its source is built to another file.
    """

    folder: Path
    digest: str
    handler: str


def bundle_for(
    source: Source,
    *,
    runtime: str,
    architecture: str,
    with_runtime: bool,
    node: NodeOptions | None = None,
    python: PythonOptions | None = None,
) -> Bundle:
    """Make a function's bundle for Lambda's `runtime` (`python3.12`, `nodejs22.x`) and `architecture` (`arm64`).

    `with_runtime`: `stagedoor.runtime` goes into a Python function's. A function without dependencies is complete; any
    other is completed by Stagedoor when the app's program has ended, or here, where nobody said that this will be done.
    Raises `UserError`s: `UnsupportedDependencies`, `BundlingFailed`, and what `completed` raises.
    """
    if source.language is Language.PYTHON:
        wanted, files = _python(source, runtime, architecture, with_runtime, python or PythonOptions())
        return _complete(_put(files, wanted, source.handler, magic=magic_of(runtime)), wanted, source)
    built = _node(source, runtime, architecture, node or NodeOptions())
    digest = node_digest(source, repository_of(source.app_dir), written(built))
    return _complete(_put({}, built, f"index.{source.handler.rpartition('.')[2]}", digest), built, source)


def _python(
    source: Source, runtime: str, architecture: str, with_runtime: bool, options: PythonOptions
) -> tuple[PythonWanted | None, dict[str, Path | bytes]]:
    root = repository_of(source.app_dir)
    files: dict[str, Path | bytes] = {}
    wanted = None
    if source.project is not None:
        needed = needed_by(source.project, root, boto3=options.boto3)
        if (source.project / "src").is_dir() and not source.root.is_relative_to(source.project / "src"):
            files.update(files_of_local(source.project, architecture))  # a handler beside it imports from it
        for place in needed.local:
            files.update(files_of_local(place, architecture))
        if needed.text.strip():
            wanted = PythonWanted(
                needed.text,
                runtime.removeprefix("python"),
                architecture,
                needed.locked,
                needed.left_out,
                needed.indexes,
                _from_root(source, root),
            )
    if with_runtime:
        files.update(runtime_files())
    files.update(files_of_source(source))
    return wanted, files


def _node(source: Source, runtime: str, architecture: str, options: NodeOptions) -> NodeWanted:
    root = repository_of(source.app_dir)
    return NodeWanted(
        _from_root(source, root),
        runtime.removesuffix(".x").replace("nodejs", "node"),
        architecture,
        options.format,
        options.minify,
        options.source_map,
        tuple(dict.fromkeys((*ALWAYS_EXTERNAL, *options.external, *options.install))),
        locked=locked_beside(options.install, source.file, root, architecture),
    )


def _from_root(source: Source, root: Path) -> str:
    file = source.file.resolve()
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else source.file.name


def _complete(bundle: Bundle, wanted: Wanted | None, source: Source) -> Bundle:
    if wanted is None or os.environ.get("STAGEDOOR_BUNDLING") == "later":
        return bundle
    from stagedoor.bundling.now import completed

    folder = completed(bundle.folder, wanted, repository_of(source.app_dir), cache_folder())
    # What esbuild wrote may come from files that no digest of a package covers.
    digest = hashlib.sha256("".join(_contents(folder)).encode()).hexdigest() if wanted.kind == "node" else bundle.digest
    return Bundle(folder, digest, bundle.handler)


def _contents(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield f"{file.relative_to(folder).as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


def _put(
    files: Mapping[str, Path | bytes], wanted: Wanted | None, handler: str, more: str = "", magic: str = ""
) -> Bundle:
    """Write a bundle's folder, unless one with the same in it is there; with bytecode where that has a `magic`."""
    said = written(wanted) if wanted else ""
    digest = hashlib.sha256(f"{said}\0{more}{magic}\0{sys.version_info[:2] if said else ''}".encode())
    for name, content in sorted(files.items()):
        data = content if isinstance(content, bytes) else content.read_bytes()
        digest.update(f"{name}\0{_mode(content)}\0".encode() + hashlib.sha256(data).digest())
    folder = _place() / digest.hexdigest()[:32]
    if not folder.exists():
        passing = Path(tempfile.mkdtemp(dir=folder.parent))
        for name, content in {**files, **(bytecode_of(files) if magic else {})}.items():
            (passing / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                (passing / name).write_bytes(content)
            else:
                shutil.copyfile(content, passing / name)
            (passing / name).chmod(_mode(content))
        if said:
            (passing / BUNDLE_FILE).write_text(said)
        passing.chmod(0o755)
        try:
            passing.rename(folder)
        except OSError:  # another program made the same
            shutil.rmtree(passing)
    return Bundle(folder, digest.hexdigest(), handler)


def _mode(content: Path | bytes) -> int:
    """Return a file's mode in the bundle, which no umask of its author's has a part in."""
    return 0o755 if isinstance(content, Path) and content.stat().st_mode & 0o100 else 0o644


def _place() -> Path:
    """Return where bundles are before they are assets: of this program where its temporary folder is its own."""
    later = os.environ.get("STAGEDOOR_BUNDLING") == "later"
    folder = Path(tempfile.gettempdir(), "stagedoor-bundles") if later else cache_folder() / "sources"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
