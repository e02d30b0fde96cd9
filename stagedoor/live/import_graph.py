"""Which functions a changed file concerns. Pure: what was loaded and what has changed comes in, names go out.

A change concerns a function when

- it is of a file that one of the function's workers has loaded, or that went into its build;
- a source file appears in or below a folder from which the function has loaded one: its imports may find it now;
- it is of a file in the function's own folder that code reads rather than imports (`DATA`);
- the function's last start failed, and it is of any source or data file: it may be the mending one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

SOURCES = frozenset({".py", ".pyi", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx", ".so", ".node"})
"""Ends of the names of files that are imported."""

DATA = frozenset(
    {".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".env", ".html", ".jinja", ".jinja2", ".j2", ".hbs", ".txt"}
    | {".xml", ".csv", ".sql", ".graphql", ".gql", ".pem", ".proto", ".md"}
)
"""Ends of the names of files that code may have read as it was loaded. What a handler itself writes is seldom one."""


class Kind(Enum):
    """What has become of a file. One that was replaced by another of its name is `MODIFIED` or `ADDED`."""

    ADDED = 1
    MODIFIED = 2
    DELETED = 3


@dataclass(frozen=True, slots=True)
class Change:
    """One file that has changed. The path is absolute, without links."""

    kind: Kind
    path: Path


@dataclass(slots=True)
class _Loaded:
    root: Path
    whole: bool
    files: set[Path] = field(default_factory=set)
    before: set[Path] = field(default_factory=set)
    failed: bool = False


class ImportGraph:
    """What each function has loaded so far. One that has loaded nothing yet has nothing to load again."""

    def __init__(self) -> None:
        self._functions: dict[str, _Loaded] = {}

    def add(self, function: str, root: Path, *, whole: bool = False) -> None:
        """Know a function. `whole`: its workers do not tell all that they load, so that its whole folder counts."""
        self._functions[function] = _Loaded(root.resolve(), whole)

    def loaded(self, function: str, files: Iterable[Path]) -> None:
        """Take more of what a function's workers have loaded, or what went into its build."""
        self._functions[function].files.update(files)

    def started(self, function: str) -> None:
        """A worker has loaded the code whole: what was loaded before the last reload no longer counts."""
        self._functions[function].before.clear()
        self._functions[function].failed = False

    def failed(self, function: str) -> None:
        """The code could not be loaded or built."""
        self._functions[function].failed = True

    def reloading(self, function: str) -> None:
        """The code will be loaded anew. Until it is, what it was made of still counts."""
        known = self._functions[function]
        known.before |= known.files
        known.files.clear()

    def folders(self) -> set[Path]:
        """Return the folders of all that was loaded."""
        return {file.parent for known in self._functions.values() for file in known.files | known.before}

    def affected(self, changes: Iterable[Change]) -> frozenset[str]:
        """Return the functions that the changes concern."""
        seen = list(changes)
        return frozenset(
            name for name, known in self._functions.items() if any(_concerns(change, known) for change in seen)
        )


def _concerns(change: Change, known: _Loaded) -> bool:
    path, made_of = change.path, known.files | known.before
    if path in made_of:
        return True
    is_source, is_data = path.suffix in SOURCES, path.suffix in DATA
    if not (is_source or is_data) or not (made_of or known.failed or known.whole):
        return False
    if known.failed or (path.is_relative_to(known.root) and (is_data or known.whole)):
        return True
    folders = {file.parent for file in made_of}
    return is_source and change.kind is Kind.ADDED and any(folder in folders for folder in path.parents)
