"""What killed runs and years of webhooks leave on our own side is swept, and nothing that is still used."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from service.blobs import FolderBlobs
from service.database import now
from service.models import Delivery, Intent, Outcome, Run, RunKind, Want
from service.parts import Parts
from service.settings import Settings
from service.stages import leftovers
from service.stages.leftovers import prune_deliveries, remove_folder, sweep_work_folders, work_folder
from tests.service.rows import T0, add_repository, add_stage


@pytest.fixture
def parts(database, tmp_path: Path) -> Parts:
    return Parts(Settings(data_dir=tmp_path), database.kw["bind"], database, FolderBlobs(tmp_path))


def add_runs(database, *outcomes):
    with database.begin() as session:
        stage = add_stage(session)
        intent = Intent(stage_id=stage.id, generation=1, want=Want.COMMIT, cause="opened", created_at=T0)
        session.add(intent)
        session.flush()
        kinds = {"stage_id": stage.id, "intent_id": intent.id, "generation": 1, "fence": 1, "kind": RunKind.DEPLOY}
        runs = [Run(**kinds, outcome=outcome, started_at=T0) for outcome in outcomes]
        session.add_all(runs)
        session.flush()
        return [run.id for run in runs]


def fill(folder: Path) -> Path:
    (folder / "tree").mkdir(parents=True)
    (folder / "tree" / "app.py").write_text("")
    return folder


def test_folders_of_runs_that_are_over_are_swept_and_of_those_that_go_on_are_not(parts, database):
    lost, going_on = [fill(work_folder(parts.settings, f"run-{id}")) for id in add_runs(database, Outcome.LOST, None)]
    strange = fill(work_folder(parts.settings, "run-4711"))
    old = fill(work_folder(parts.settings, "run-4712"))
    os.utime(old, (0, 0))
    assert sweep_work_folders(parts) == 2
    assert not lost.exists()
    assert not old.exists()
    assert (going_on / "tree" / "app.py").exists()
    assert (strange / "tree" / "app.py").exists()


def test_nothing_to_sweep_is_no_error(parts):
    assert sweep_work_folders(parts) == 0


def test_a_folder_that_an_app_closed_is_removed(tmp_path):
    folder = fill(tmp_path / "run-1")
    (folder / "link").symlink_to(tmp_path)
    (folder / "tree").chmod(0o000)
    remove_folder(folder)
    assert not folder.exists()


def test_deliveries_are_kept_for_as_long_as_the_settings_say(parts, database, monkeypatch):
    monkeypatch.setattr(leftovers, "BATCH", 2)
    with database.begin() as session:
        host = add_repository(session).host
        moment = now(session)
        for guid, age, processed in [(f"old-{n}", 31, True) for n in range(5)] + [
            ("new", 29, True),
            ("odd", 31, False),
        ]:
            at = moment - timedelta(days=age)
            processed_at = at if processed else None
            session.add(
                Delivery(
                    host_id=host.id, guid=guid, event="push", body=b"{}", received_at=at, processed_at=processed_at
                )
            )
    assert prune_deliveries(parts) == 5
    with database() as session:
        assert sorted(session.scalars(select(Delivery.guid))) == ["new", "odd"]
