"""The service's runs, read from its database: how many there were can be seen nowhere else."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run; `phase` is where it is or was, `outcome` is None while it is under way."""

    id: int
    kind: str
    commit: str | None
    phase: str
    outcome: str | None


def read_runs(database: Path) -> list[RunRow]:
    """Return all runs, oldest first; the database is opened for reading only."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        rows = connection.execute('SELECT id, kind, "commit", phase, outcome FROM runs ORDER BY id')
        return [RunRow(*row) for row in rows]
