"""Logs and sources of old are taken away, and nothing that somebody may still look at."""

from datetime import timedelta

from sqlalchemy import select

from service.blobs import FolderBlobs
from service.database import Sessions, now
from service.models import Intent, Run, RunKind, Source, SourceKind, Stage, Want
from service.parts import Parts
from service.settings import Settings
from service.stages.journal import events_prefix
from service.stages.pruning import prune_logs, prune_sources
from tests.service.rows import T0, add_repository, add_stage


def test_logs_of_old_runs_go_but_not_that_of_the_newest(database: Sessions, tmp_path):
    parts = Parts(Settings(data_dir=tmp_path), database.kw["bind"], database, FolderBlobs(tmp_path))
    with database.begin() as session:
        stage_id = add_stage(session).id
        session.add(Intent(id=1, stage_id=stage_id, generation=1, want=Want.GONE, cause="closed", created_at=T0))
        recent = now(session)
        for run_id, ended in enumerate((T0, recent, T0, T0), start=1):
            session.add(Run(id=run_id, stage_id=stage_id, intent_id=1, generation=1, fence=1, kind=RunKind.DEPLOY,
                            started_at=T0, finished_at=ended))  # fmt: skip
            parts.blobs.put(f"{events_prefix(run_id)}00000001", b"{}")
    assert prune_logs(parts) == 2
    assert prune_logs(parts) == 0
    assert [key.split("/")[1] for key in parts.blobs.keys("runs/")] == ["2", "4"]


def test_branches_that_left_nothing_are_forgotten(database: Sessions, tmp_path):
    parts = Parts(Settings(data_dir=tmp_path), database.kw["bind"], database, FolderBlobs(tmp_path))
    with database.begin() as session:
        add_stage(session)
        repository = add_repository(session, "acme/shop", 2)
        recent = now(session) - timedelta(days=1)
        sources = {
            name: Source(repository_id=repository.id, kind=SourceKind.BRANCH, ref=name, generation=2,
                         done_generation=done, created_at=T0, updated_at=at)
            for name, done, at in (("old", 2, T0), ("behind", 1, T0), ("recent", 2, recent), ("staged", 2, T0))
        }  # fmt: skip
        session.add_all(sources.values())
        session.flush()
        session.scalars(select(Stage)).one().source_id = sources["staged"].id
    assert prune_sources(parts) == 1
    with database() as session:
        assert sorted(session.scalars(select(Source.ref))) == ["behind", "recent", "staged"]
