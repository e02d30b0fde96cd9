"""What is done now and then, beside the ringing, for as long as a group of workers runs."""

import threading
from collections.abc import Callable, Sequence

import structlog

log = structlog.get_logger(__name__)


class Upkeep:
    """Does its tasks at once and then every so many seconds. One that fails is tried again; it ends nothing."""

    def __init__(self, tasks: Sequence[Callable[[], int]], every: float) -> None:
        self._tasks = tasks
        self._every = every
        self._stop = threading.Event()

    def run(self) -> None:
        """Go on until `stop`."""
        while not self._stop.is_set():
            for task in self._tasks:
                self._do(task)
            self._stop.wait(self._every)

    def stop(self) -> None:
        """End `run`."""
        self._stop.set()

    def _do(self, task: Callable[[], int]) -> None:
        try:
            if count := task():
                log.info("upkeep", task=task.__name__, count=count)
        except Exception:
            log.warning("upkeep failed and is tried again", task=task.__name__, exc_info=True)
