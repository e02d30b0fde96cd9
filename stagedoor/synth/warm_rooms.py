"""Warm processes for trees that are not there yet: for workers, where each run fetches a tree of its own.

A sandbox lets into folders, not into paths: what Landlock allows belongs to the folder itself, wherever it lies. So a
process waits in the sandbox of an empty folder, its *room*. When it is taken for a run, what is in the run's tree is
moved into the room, and the room is put in the tree's place: the tree lies where it lay, and the process is let in.
"""

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from stagedoor.synth.confinement import granted
from stagedoor.synth.warm import ExecutorWith, Slot, WarmProcess, new_folder


class WarmRooms:
    """Processes that wait for one tree each, of any repository: at most one for each environment of dependencies.

    Together they hold at most `memory` bytes, looked at whenever `mind` is called; who has waited longest goes first.
    A program has `seconds`. `folder` is on the disk that trees and assemblies are written to. Safe to call from several
    threads. Where there is no Landlock nothing waits: a process of the same user could get at one that does.
    """

    def __init__(
        self, folder: Path, executor_with: ExecutorWith, memory: int = 512 * 1024**2, seconds: float = 300
    ) -> None:
        self._folder = folder
        self._executor_with = executor_with
        self._memory = memory
        self._seconds = seconds
        self._lock = threading.Lock()
        self._waiting: list[WarmProcess] = []
        self._unfit: set[tuple[object, ...]] = set()

    @property
    def waiting(self) -> list[WarmProcess]:
        """The processes that wait or get ready, those that have waited longest first."""
        with self._lock:
            return list(self._waiting)

    def fill(self, slot: Slot, modules: Sequence[str]) -> None:
        """See to it that a process with these modules gets ready for trees like the slot's; returns at once."""
        if slot.python is None or granted().landlock == 0:
            return
        self.mind()
        with self._lock:
            if slot.tools in self._unfit or any(process.slot.tools == slot.tools for process in self._waiting):
                return
            folder = new_folder(self._folder)
            (folder / "room").mkdir()
            self._waiting.append(
                WarmProcess(slot, modules, folder, folder / "room", self._executor_with, self._seconds)
            )

    def take(self, slot: Slot, script: str) -> WarmProcess | None:
        """Return a process that serves the slot, with the slot's tree in its room; None where there is none.

        Whoever takes it runs it and removes it.
        """
        with self._lock:
            fitting = (process for process in self._waiting if process.slot.tools == slot.tools)
            process = next((process for process in fitting if process.claim(slot, script)), None)
            if process is None:
                return None
            self._waiting.remove(process)
        process.hand_over(slot.root)  # while what waits cannot reach it, and so cannot lead us astray in it
        if not _put_in_place(process.tree, slot.root):
            process.remove()
            return None
        return process

    def mind(self) -> None:
        """End what has waited too long or holds too much, and bury what has ended. To be called now and then."""
        ended: list[WarmProcess] = []
        with self._lock:
            for process in [process for process in self._waiting if not process.alive]:
                self._give_up(process, ended, is_unfit=not process.was_ready)
            while self._waiting and sum(process.memory for process in self._waiting) > self._memory:
                self._give_up(self._waiting[0], ended, is_unfit=len(self._waiting) == 1)
        for process in ended:
            process.remove()

    def close(self) -> None:
        """End all that wait."""
        with self._lock:
            ended, self._waiting = self._waiting, []
        for process in ended:
            process.remove()

    def _give_up(self, process: WarmProcess, ended: list[WarmProcess], *, is_unfit: bool) -> None:
        """Take a process off the list. What cannot get ready, or alone holds too much, is not tried again."""
        self._waiting.remove(process)
        ended.append(process)
        if is_unfit:
            self._unfit.add(process.slot.tools)


def _put_in_place(room: Path, tree: Path) -> bool:
    """Move what is in `tree` into `room`, and `room` to where `tree` is; say whether that was done, or nothing was."""
    moved: list[str] = []
    try:
        room.chmod(stat.S_IMODE(tree.stat().st_mode))
        for name in os.listdir(tree):
            (tree / name).rename(room / name)
            moved.append(name)
        tree.rmdir()
        room.rename(tree)
    except OSError:
        tree.mkdir(exist_ok=True)
        for name in moved:
            (room / name).rename(tree / name)
        return False
    return True
