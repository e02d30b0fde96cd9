"""The files of a repository that may be some function's code, found by the end of their path."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from stagedoor.live.watching import source_folders


class SourceTree:
    """The repository's files, read once. Packages, environments, caches and assemblies are left out."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._by_name: dict[str, list[Path]] = {}
        for folder in source_folders(self.root):
            with suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_file():
                        self._by_name.setdefault(entry.name, []).append(Path(entry.path))

    def ending(self, path: str) -> Iterator[Path]:
        """Yield the files whose path ends in `path`, such as `api/handler.py`."""
        wanted = Path(path).parts
        for file in self._by_name.get(wanted[-1], []) if wanted else []:
            if file.parts[-len(wanted) :] == wanted:
                yield file
