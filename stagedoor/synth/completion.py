"""Complete the bundles of an assembly's functions when the app's program has ended: it had no network to do so itself.

What a bundle lacks is said by a file in its asset's folder, which the program wrote: in a pull request a stranger's. It
is read as such, and what it asks for is installed and built behind the executor.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stagedoor.bundling.completing import complete, entry_of
from stagedoor.bundling.errors import InvalidBundle
from stagedoor.bundling.installing import Store
from stagedoor.bundling.wanted import BUNDLE_FILE, NodeWanted, read_wanted
from stagedoor.events import Emit, Event, EventKind
from stagedoor.synth.above import settings_above
from stagedoor.synth.dependencies import HEAD, install_packages, to_log
from stagedoor.synth.executor import Command, Executor
from stagedoor.synth.node_modules import node_modules_shown
from stagedoor.synth.tree import read_text

BUNDLES_LIMIT = 500
"""Bundles that an assembly may have to be completed: as many resources as a template may have."""


def complete_bundles(
    assembly_dir: Path,
    root: Path,
    cache: Path,
    executor: Executor,
    emit: Emit,
    readable: Sequence[Path] = (),
) -> None:
    """Complete each bundle of the assembly; `cache` is that of one trust level, `root` the repository.

    `readable` is what code of the repository needs besides it: the environment of the app. Raises `InvalidBundle`,
    `BundlingFailed`, `WrongArchitecture`, `BundleTooLarge`, and what the executor raises.
    """
    for bundle in _incomplete(assembly_dir):
        wanted = read_wanted(read_text(bundle / BUNDLE_FILE, bundle))
        emit(Event(EventKind.LOG, "bundle", message=f"Completing the bundle of {wanted.source or bundle.name}"))
        if isinstance(wanted, NodeWanted):
            folder = entry_of(wanted, root).parent
            environment = install_packages(folder, root, cache, executor, emit)
            with node_modules_shown(folder, root, environment):
                complete(bundle, wanted, root, _store(cache, executor, emit, (*readable, *environment.readable)))
        else:
            complete(bundle, wanted, root, _store(cache, executor, emit, ()))


def _store(cache: Path, executor: Executor, emit: Emit, readable: tuple[Path, ...]) -> Store:
    def say(status: str, message: str) -> None:
        emit(Event(EventKind.LOG, "bundle", status, message))

    return Store(cache / "bundles", cache, _Confined(executor, emit, readable), say)


@dataclass(frozen=True, slots=True)
class _Confined:
    """Runs commands behind the executor; `readable` is what they may read besides the system and what they write."""

    executor: Executor
    emit: Emit
    readable: tuple[Path, ...]

    def __call__(
        self,
        *argv: str,
        cwd: Path,
        writable: tuple[Path, ...],
        readable: tuple[Path, ...] = (),
        env: dict[str, str] | None = None,
        network: bool = False,
    ) -> tuple[int, str]:
        printed: list[str] = []
        program = Path(argv[0])
        seen = (*self.readable, *readable, *settings_above(cwd), *((program.parent,) if program.is_absolute() else ()))
        command = Command("bundle", argv, cwd, env or {}, seen, writable, network)
        completed = self.executor.run(command, to_log("bundle", printed, self.emit, HEAD))
        return completed.status, "\n".join(printed)


def _incomplete(assembly_dir: Path) -> Iterator[Path]:
    """Yield the folders of an assembly's assets that lack something: folders themselves, no links to any."""
    found = [
        folder
        for folder in sorted((*assembly_dir.glob("*"), *assembly_dir.glob("assembly-*/*")))
        if folder.is_dir() and (folder / BUNDLE_FILE).exists()
    ]
    if len(found) > BUNDLES_LIMIT or any(
        part.is_symlink() for folder in found for part in (folder, folder.parent) if part != assembly_dir
    ):
        raise InvalidBundle(
            f"The assembly has bundles in more than {BUNDLES_LIMIT} folders, or behind links.",
            "Make bundles with stagedoor's Function, in an assembly's own folders.",
        )
    yield from found
