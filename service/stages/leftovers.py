"""What is left over on our own side: folders of runs that were killed, and deliveries that nobody asks about."""

import os
import re
import shutil
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, select

from service.database import now
from service.models import Delivery, Intent, PlanRow, Run
from service.parts import Parts
from service.settings import Settings

STRANGER_SECONDS = 24 * 3600  # a folder of no run of ours may be another service's that has the same data folder
BATCH = 500  # deliveries a transaction; their bodies may be large, and webhooks wait for SQLite's one writer
BATCHES = 200


def work_folder(settings: Settings, job: str) -> Path:
    """Return the folder that a job has to itself for as long as it goes on."""
    return settings.data_dir.absolute() / "work" / job


def keeping_folder(settings: Settings) -> Path:
    """Return the folder in which assemblies are got ready to be kept."""
    return settings.data_dir.absolute() / "keeping"


def remove_folder(folder: Path) -> None:
    """Remove a folder, also where an app took the right to write from what is in it. What cannot be removed stays."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        return
    for parent, folders, _files in os.walk(folder):
        for path in (Path(parent), *(Path(parent) / name for name in folders)):
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def sweep_work_folders(parts: Parts) -> int:
    """Remove the folders of runs and plans that are over; return how many there were.

    A run removes its own. One that was killed cannot, and is called lost as soon as another has taken its stage.
    """
    # An assembly is kept within minutes; the process of one that is there after a day is gone.
    swept = [folder for folder in keeping_folder(parts.settings).glob("*") if _is_old(folder, is_used=False)]
    for kind, table in (("run", Run), ("plan", PlanRow)):
        swept += _folders_that_are_over(parts, kind, table)
    for folder in swept:
        remove_folder(folder)
    return len(swept)


def _folders_that_are_over(parts: Parts, kind: str, table: type[Run | PlanRow]) -> list[Path]:
    names = re.compile(rf"{kind}-([0-9]{{1,18}})(-[0-9a-f]+)?\Z")
    folders = work_folder(parts.settings, kind).parent.glob(f"{kind}-*")
    found = [(int(named[1]), folder) for folder in folders if (named := names.match(folder.name))]
    ids = {row_id for row_id, _ in found}
    with parts.sessions() as session:
        rows = session.execute(select(table.id, table.outcome).where(table.id.in_(ids)))
        outcomes = {row.id: row.outcome for row in rows}
    over = {row_id for row_id, outcome in outcomes.items() if outcome is not None}
    return [folder for row_id, folder in found if row_id in over or _is_old(folder, is_used=row_id in outcomes)]


def _is_old(folder: Path, *, is_used: bool) -> bool:
    try:
        return not is_used and time.time() - folder.stat().st_mtime > STRANGER_SECONDS
    except FileNotFoundError:  # its run has just removed it
        return False


def prune_deliveries(parts: Parts) -> int:
    """Delete processed deliveries that are older than the settings keep them; return how many.

    GitHub sends one again for three days at the most
    (https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks).
    """
    pruned = 0
    for _ in range(BATCHES):
        with parts.sessions.begin() as session:
            old = now(session) - timedelta(days=parts.settings.delivery_days)
            is_named = select(Intent.id).where(Intent.delivery_id == Delivery.id).exists()
            oldest = (
                select(Delivery.id)
                .where(Delivery.received_at < old, Delivery.processed_at.is_not(None), ~is_named)
                .order_by(Delivery.received_at)
                .limit(BATCH)
                .with_for_update(skip_locked=True)
            )
            ids = session.scalars(oldest).all()
            session.execute(delete(Delivery).where(Delivery.id.in_(ids)))
        pruned += len(ids)
        if len(ids) < BATCH:
            break
    return pruned
