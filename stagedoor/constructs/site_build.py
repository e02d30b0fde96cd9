"""A site's files: what its build command makes of its folder, kept under a digest of its sources."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stagedoor.constructs.errors import ConstructError

LEFT_OUT = ("node_modules", "cdk.out", "__pycache__", "CACHEDIR.TAG", ".DS_Store", ".git", ".env*")
"""Names that are in no site: what is for building it, and what is secret."""

LOCKS = ("package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock")
_TAG = "CACHEDIR.TAG"
_SIGNATURE = "Signature: 8a477f597d28d172789f06886806bc55\n"
"""Marks a folder that is made again at will, which a synth's cache does not look into (https://bford.info/cachedir/)."""

_LINES = 40


@dataclass(frozen=True, slots=True)
class SiteSource:
    """Where a site comes from. `folder` is its own, `output` what `command` makes, from there; `more` are files and
    folders that the command reads beside it. Without a command the folder is the site. `environment` is the command's.
    """

    folder: Path
    command: str | None
    output: str
    environment: Mapping[str, str]
    more: Sequence[Path] = ()


def site_files(source: SiteSource, app_dir: Path, where: str) -> Path:
    """Return the folder with a site's files, built if need be. Raises `ConstructError`."""
    if not source.folder.is_dir():
        raise ConstructError(f"There is no folder {source.folder}.", "`path` is from the app's folder.", where)
    if source.command is None:
        return source.folder
    kept = _kept_folder(app_dir) / _digest(source, app_dir)
    if not kept.is_dir():
        output = _build(source, app_dir, where)
        with tempfile.TemporaryDirectory(dir=kept.parent) as passing:
            copied = Path(shutil.copytree(output, Path(passing, "site"), ignore=shutil.ignore_patterns(_TAG)))
            if not kept.is_dir():
                copied.rename(kept)
    return kept


def _build(source: SiteSource, app_dir: Path, where: str) -> Path:
    """Run the build command and return the folder that it made."""
    programs = [str(folder / "node_modules" / ".bin") for folder in (source.folder, app_dir)]
    path = os.pathsep.join([*programs, os.environ.get("PATH", os.defpath)])
    ended = subprocess.run(
        ["/bin/sh", "-c", source.command or ""],
        cwd=source.folder,
        env={**os.environ, "PATH": path, **source.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode:
        told = "\n".join(ended.stdout.splitlines()[-_LINES:])
        raise ConstructError(
            f"`{source.command}` ended with {ended.returncode}.",
            f"It was run in {source.folder.name}; its last lines:\n{told}",
            where,
        )
    output = source.folder / source.output
    if not output.is_dir() or not any(output.iterdir()):
        raise ConstructError(
            f"`{source.command}` made no files in {source.output}.", "Say where they are: output='…'.", where
        )
    (output / _TAG).write_text(_SIGNATURE)
    return output


def _digest(source: SiteSource, app_dir: Path) -> str:
    """Return a digest of all that decides what the command makes, but for what is installed and by a lock is known."""
    digest = hashlib.sha256(repr((source.command, source.output, sorted(source.environment.items()))).encode())
    output = (source.folder / source.output).resolve()
    for place in (source.folder, *source.more, *_locks(source.folder, app_dir)):
        for file in [place] if place.is_file() else sorted(_sources(place, output)):
            digest.update(f"{file.relative_to(place)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _sources(folder: Path, output: Path) -> Iterator[Path]:
    for above, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if _is_source(Path(above, name), output)]
        yield from (Path(above, name) for name in files)


def _is_source(folder: Path, output: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name == "node_modules"
    return not hidden and folder.resolve() != output and not (folder / _TAG).exists()


def _locks(folder: Path, app_dir: Path) -> Iterator[Path]:
    """Yield the locks above a site, which its packages may be in."""
    above = [each for each in folder.parents if each.is_relative_to(app_dir)]
    yield from (each / name for each in above for name in LOCKS if (each / name).is_file())


def _kept_folder(app_dir: Path) -> Path:
    """Return where built sites are kept: below the app, which is what a confined synth can write."""
    kept = app_dir / ".stagedoor" / "sites"
    kept.mkdir(parents=True, exist_ok=True)
    (kept.parent / _TAG).write_text(_SIGNATURE)
    (kept.parent / ".gitignore").write_text("*\n")
    return kept
