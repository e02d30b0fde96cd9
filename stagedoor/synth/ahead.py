"""One process that loads the CDK for a synth that is about to come, while whoever wants it still prepares.

It is a warm process (`warm.py`) but for this: it is begun by the command that uses it, and waited for.
"""

import time
from collections.abc import Callable
from pathlib import Path

from stagedoor.synth.dependencies import installed
from stagedoor.synth.executor import Limits, LocalProcessExecutor, go_on
from stagedoor.synth.settings import read_settings
from stagedoor.synth.warm import Slot, WarmProcess, new_folder, script_of

_LOOK_SECONDS = 0.002


def slot_ahead(app_dir: Path, root: Path, cache: Path, command: str | None = None) -> Slot | None:
    """Return what a process is begun for; None where the app is run otherwise, or something is to be installed first.

    Raises the `UserError`s of files that cannot be read.
    """
    app_dir, root = app_dir.resolve(), root.resolve()
    line = command or read_settings(app_dir, root).app
    environment = installed(app_dir, root, cache.resolve()) if line and script_of(line) else None
    slot = Slot.at(app_dir, root, environment) if environment else None
    return slot if slot and slot.python else None


class Ahead:
    """A `Warm` with one process, which is begun at once and used once. `folder` is its own."""

    def __init__(self, slot: Slot, folder: Path) -> None:
        self.check: Callable[[], None] = go_on
        self._process = WarmProcess(
            slot,
            slot.modules,
            new_folder(folder),
            slot.root,
            lambda check: LocalProcessExecutor(Limits(niceness=0), check=check),
            soon=True,
        )

    def take(self, slot: Slot, script: str) -> WarmProcess | None:
        """Return the process when it has all loaded; None where it does not serve the slot, or was taken."""
        if not self._process.slot.same_as(slot):
            return None
        while self._process.alive and not self._process.was_ready:
            self.check()
            time.sleep(_LOOK_SECONDS)
        return self._process if self._process.claim(slot, script) else None

    def fill(self, slot: Slot) -> None:
        """Get no other ready: the next synth is another command's."""
        self.close()

    def close(self) -> None:
        """End the process, and take its folder away."""
        self._process.remove()
