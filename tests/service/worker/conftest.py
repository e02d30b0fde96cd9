"""A queue, and a group of workers on it."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.settings import Settings
from service.worker.processes import WorkerGroup
from service.worker.queue_server import embedded_queue


@pytest.fixture
def queue_url(tmp_path: Path) -> Iterator[str]:
    with embedded_queue(tmp_path / "queue") as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("STAGEDOOR_DATA_DIR", str(tmp_path / "data"))
    made = Settings()
    made.data_dir.mkdir()
    shutil.copy(sqlite_template, made.data_dir / "stagedoor.sqlite")
    return made


@contextmanager
def working(settings: Settings, queue_url: str, processes: int = 1) -> Iterator[WorkerGroup]:
    """Run a group on a thread, as `stagedoor worker` does on its first."""
    group = WorkerGroup(settings, queue_url, processes)
    thread = threading.Thread(target=group.run)
    thread.start()
    try:
        yield group
    finally:
        group.stop()
        thread.join()
