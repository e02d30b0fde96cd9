"""The keeper of warm processes that a group of workers shares."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from service.settings import Settings
from service.stages.repository_code import executor
from stagedoor.synth.warm_keeper import WarmKeeper, keepers_folder
from stagedoor.synth.warm_rooms import WarmRooms

WARM_DOOR_VARIABLE = "STAGEDOOR_WARM_DOOR"
"""Where a worker is told which descriptor that it inherits leads to the keeper; empty where there is none."""


@contextmanager
def warm_keeper(settings: Settings) -> Iterator[WarmKeeper | None]:
    """Yield a keeper, and end what it keeps; None where the settings leave no memory for it."""
    if not settings.warm_memory_mb:
        yield None
        return
    # Beside the runs' folders: from there trees and assemblies are moved, not copied.
    with keepers_folder(settings.data_dir.absolute() / "warm") as folder:
        rooms = WarmRooms(
            folder,
            lambda check: executor(settings, check, math.inf),
            settings.warm_memory_mb * 1024 * 1024,
            settings.synth_seconds,
        )
        keeper = WarmKeeper(rooms)
        try:
            yield keeper
        finally:
            keeper.close()
