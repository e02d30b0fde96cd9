"""The code that goes into a bundle by being copied: a function's own, and that of local packages."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from stagedoor.bundling.errors import UnsupportedDependencies, WrongArchitecture
from stagedoor.bundling.requirement_files import import_root
from stagedoor.bundling.source import PROJECT_FILES, Source

LEFT_OUT = frozenset({"__pycache__", "node_modules", "cdk.out", "venv", "env"})
"""Folders that are in no bundle; nor is anything whose name begins with a dot."""

_NOT_IMPORTED = frozenset({"tests", "test", "docs", "examples", "dist", "build"})
_NOT_MODULES = frozenset({"setup.py", "conftest.py", "noxfile.py", "app.py"})

MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's names of architectures, and those that wheels have."""


def files_of_source(source: Source) -> dict[str, Path]:
    """Return what of a Python function's source goes into its bundle, by its name in there."""
    beside_the_app = source.file.parent == source.root and source.project in (None, source.root)
    if beside_the_app and (source.root / "cdk.json").is_file():
        return {source.file.name: source.file}
    return {name: file for name, file in _below(source.root, source.root) if name not in PROJECT_FILES}


def files_of_local(place: Path, architecture: str) -> dict[str, Path | bytes]:
    """Return the code of a local package: of a wheel, else what a project's folder would install.

    That is all of its `src`; without one, its modules and its packages, tests and the like left out. Raises
    `WrongArchitecture` for a wheel that Lambda could not load.
    """
    if place.suffix == ".whl":
        return dict(_of_wheel(place, architecture))
    base = import_root(place)
    if base != place:
        return dict(_below(base, base))
    found: dict[str, Path | bytes] = {}
    for entry in sorted(place.iterdir()):
        if entry.is_dir() and entry.name not in _NOT_IMPORTED | LEFT_OUT and (entry / "__init__.py").is_file():
            found.update(_below(entry, place))
        elif entry.suffix == ".py" and entry.name not in _NOT_MODULES:
            found[entry.name] = entry
    return found


def _below(folder: Path, base: Path) -> Iterator[tuple[str, Path]]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in LEFT_OUT:
            continue
        if entry.is_dir():
            yield from _below(entry, base)
        elif entry.is_file():
            yield entry.relative_to(base).as_posix(), entry


def _of_wheel(wheel: Path, architecture: str) -> Iterator[tuple[str, bytes]]:
    """Source: https://packaging.python.org/en/latest/specifications/binary-distribution-format/."""
    import zipfile

    platform = wheel.stem.rpartition("-")[2]
    if platform != "any" and not (platform.endswith(MACHINES[architecture]) and "linux" in platform):
        raise WrongArchitecture(
            f"{wheel.name} is for {platform}, and the function runs on Linux on {architecture}.",
            f"Commit its wheel for Linux on {MACHINES[architecture]}, or set the function's architecture.",
        )
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(archive.namelist()):
                parts = PurePosixPath(name).parts
                if name.endswith("/") or ".." in parts or PurePosixPath(name).is_absolute():
                    continue
                if parts[0].endswith(".data"):
                    if len(parts) < 3 or parts[1] not in ("purelib", "platlib"):
                        continue
                    parts = parts[2:]
                yield "/".join(parts), archive.read(name)
    except zipfile.BadZipFile:
        raise UnsupportedDependencies(f"{wheel.name} is no wheel.", "Build it again, and commit it.") from None
