"""Which files of a tree are in its assets as they are: the code of functions, pages of a site.

Most edits are of these. They change no template but for the assets' hashes, which no rule asks for, so the engine that
validates templates (`validation.py`) need not be got ready for them. What is kept here is a guess: templates that turn
out to be others are validated as ever, a little later.
"""

import json
from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stagedoor.synth.keeping import oldest_first, write_whole

_TREES = 32


@dataclass(frozen=True, slots=True)
class StagedFiles:
    """What is known of one tree, in `file`."""

    file: Path

    def are_all(self, changed: Set[str] | None) -> bool:
        """Say whether there are `changed` files, and each was in an asset the last time."""
        if not changed:
            return False
        try:
            return changed <= set(json.loads(self.file.read_bytes()))
        except (OSError, ValueError, TypeError):
            return False

    def keep(self, contents: Mapping[str, str], staged: Set[str]) -> None:
        """Keep which files of a tree have a content that is in its assets. `contents` are those of `Sources`."""
        paths = [path for path, content in contents.items() if content[1:] in staged]
        with suppress(OSError):  # a full disk costs the next deploy some time, nothing else
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.file, json.dumps(paths).encode())
            for old in oldest_first(self.file.parent)[:-_TREES]:
                old.unlink(missing_ok=True)
