"""What was deployed once is kept and deployed again: rolled back to, promoted, and taken away when its time is over."""

from pathlib import Path

import pytest
from sqlalchemy import select

from service.database import Sessions
from service.models import AssemblyRow, Run, RunKind, Stage
from service.stages.assemblies import Keep, keep
from service.stages.errors import NoAssembly, PromotionRefused, RunOfOtherStage
from service.stages.journal import read_events
from service.stages.pruning import prune_assemblies
from service.stages.requests import promote, request_removal, roll_back
from stagedoor.target import Trust
from tests.service.rows import T0
from tests.service.stages import tiny_app
from tests.service.stages.conftest import House


def live(house: House, **files: str) -> int:
    source = house.pull_request(**files)
    house.resolve(source)
    house.reconcile(source)
    assert house.outcomes(source) == [("deploy", "succeeded")]
    return source


def assemblies(house: House) -> list[AssemblyRow]:
    with house.parts.sessions() as session:
        return list(session.scalars(select(AssemblyRow).order_by(AssemblyRow.id)))


def rolled_back(house: House, source: int, number: int) -> Run:
    stage, run = house.stage(source), house.runs(source)[number]
    with house.parts.sessions.begin() as session:
        assert roll_back(session, session.merge(stage), session.merge(run), actor="mona").new
    house.reconcile(source)
    return house.runs(source)[-1]


def word(house: House, source: int) -> str:
    return str(house.stage(source).outputs["Tiny"]["Word"])


def test_a_roll_back_needs_no_synth_and_stays_until_the_next_push(live_house: House) -> None:
    house = live_house
    source = live(house)
    first = house.stage(source).live_commit
    head = house.push(source, {"tiny.template.json": tiny_app.template("two")})
    house.reconcile(source)
    assert word(house, source) == "two"

    run = rolled_back(house, source, 0)
    assert (word(house, source), house.stage(source).live_commit) == ("one", first)
    events = [event for _, chunk in read_events(house.parts.blobs, run.id) for event in chunk]
    phases = [event["subject"] for event in events if event["kind"] == "phase" and event["status"] == "done"]
    assert phases == ["fetch", "inspect", "plan", "publish", "apply"]
    assert run.assembly_id == house.runs(source)[0].assembly_id == house.stage(source).assembly_id

    house.touch(source)
    house.resolve(source)
    house.reconcile(source)
    assert (word(house, source), len(house.runs(source))) == ("one", 3)
    (comment,) = house.github.comments(house.repository, house.number(source))
    assert "Rolled back to an earlier run by mona; it stays so until the next push." in comment["body"]
    (check,) = house.github.check_runs(house.repository, head)
    assert (check["conclusion"], check["output"]["title"]) == ("neutral", "Another version is wanted")
    assert "Rolled back to an earlier run by mona" in check["output"]["summary"]

    newest = house.push(source, {"tiny.template.json": tiny_app.template("three")})
    house.reconcile(source)
    assert (word(house, source), house.stage(source).live_commit) == ("three", newest)


def test_an_unchanged_assembly_is_not_written_twice(live_house: House) -> None:
    source = live(live_house, **{"cdk.json": '{"app": "sh app.sh"}', "README.md": "one"})
    live_house.push(source, {"README.md": "two"})
    live_house.reconcile(source)
    (kept,) = assemblies(live_house)
    assert [run.assembly_id for run in live_house.runs(source)] == [kept.id, kept.id]
    assert list(live_house.parts.blobs.keys("assemblies/")) == [kept.blob]


def test_a_failure_to_keep_one_fails_no_run(live_house: House, tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("not a folder")
    source = live(live_house)
    (run,) = live_house.runs(source)
    assert run.assembly_id is None
    stage = live_house.stage(source)
    with live_house.parts.sessions.begin() as session, pytest.raises(NoAssembly, match="No assembly of run"):
        roll_back(session, session.merge(stage), session.merge(run), actor="mona")


def test_one_that_is_too_large_is_not_kept_and_rolling_back_says_so(live_house: House) -> None:
    object.__setattr__(live_house.parts.settings, "assembly_bytes", 10)
    source = live(live_house)
    (run,), stage = live_house.runs(source), live_house.stage(source)
    with live_house.parts.sessions.begin() as session, pytest.raises(NoAssembly, match="too large"):
        roll_back(session, session.merge(stage), session.merge(run), actor="mona")


def test_an_assembly_is_promoted_where_it_belongs_and_nowhere_else(live_house: House) -> None:
    house = live_house
    one = live(house)
    two = live(house, **{"tiny.template.json": tiny_app.template("other")})
    named = live(house, **{"app.sh": 'sed "s/one/shop-$STAGEDOOR_STAGE/" tiny.template.json > "$CDK_OUTDIR/'
                           'tiny.template.json"\ncp manifest.json "$CDK_OUTDIR/"\n'})  # fmt: skip
    runs = {source: house.runs(source)[0] for source in (one, two, named)}
    target, knows = house.stage(two), house.stage(named).name
    with house.parts.sessions.begin() as session:
        onto = session.merge(target)
        with pytest.raises(RunOfOtherStage):
            roll_back(session, onto, session.merge(runs[one]), actor="mona")
        with pytest.raises(PromotionRefused, match=f"made for the stage {knows} and knows it"):
            promote(session, session.merge(runs[named]), onto, actor="mona")
        onto.trust = Trust.PRODUCTION
        session.flush()
        with pytest.raises(PromotionRefused, match="nothing crosses"):
            promote(session, session.merge(runs[one]), onto, actor="mona")
        onto.trust = Trust.PREVIEW
        session.flush()
        asked = promote(session, session.merge(runs[one]), onto, actor="mona")
        assert asked.new
        assert not promote(session, session.merge(runs[one]), onto, actor="mona").new
    house.reconcile(two)
    assert word(house, two) == "one"
    assert rolled_back(house, two, 0).outcome == "succeeded"
    assert word(house, two) == "other"


def test_a_removal_on_request_stays_until_the_next_push(live_house: House) -> None:
    house = live_house
    source = live(house)
    stage = house.stage(source)
    with house.parts.sessions.begin() as session:
        assert request_removal(session, session.merge(stage), actor="mona").new
    house.reconcile(source)
    house.touch(source)
    house.resolve(source)
    house.reconcile(source)
    assert house.outcomes(source) == [("deploy", "succeeded"), ("remove", "succeeded")]
    (comment,) = house.github.comments(house.repository, house.number(source))
    assert "Removed on request of mona; it stays so until the next push." in comment["body"]
    house.push(source, {"README.md": "words"})
    house.reconcile(source)
    assert house.outcomes(source)[-1] == ("deploy", "succeeded")


def test_the_last_ones_of_a_stage_are_kept_and_what_is_live_or_wanted(house: House) -> None:
    source = house.pull_request()
    house.resolve(source)
    object.__setattr__(house.parts.settings, "assemblies_kept", 2)
    kept = [_kept(house, source, number) for number in range(5)]
    _make_live(house.parts.sessions, house.stage(source).id, kept[0])
    assert prune_assemblies(house.parts) == 2
    rows = {row.id: row for row in assemblies(house)}
    assert [bool(rows[one].blob) for one in kept] == [True, False, False, True, True]
    assert list(house.parts.blobs.keys("assemblies/")) == sorted(rows[one].blob for one in kept if rows[one].blob)
    assert prune_assemblies(house.parts) == 0


def _kept(house: House, source: int, number: int) -> int:
    """Have a run of the source's stage that deployed an assembly of its own."""
    stage = house.stage(source)
    folder = house.parts.settings.data_dir / str(number)
    folder.mkdir(parents=True)
    for name, text in tiny_app.files(str(number)).items():
        (folder / name).write_text(text)
    assembly_id = keep(
        house.parts, Keep(folder, stage.app_id, stage.trust, None, stage.name), house.parts.settings.data_dir
    )
    with house.parts.sessions.begin() as session:
        run = Run(
            stage_id=stage.id, intent_id=1, generation=1, fence=0, kind=RunKind.DEPLOY, outcome="succeeded",
            started_at=T0, assembly_id=assembly_id,
        )  # fmt: skip
        session.add(run)
        session.get_one(AssemblyRow, assembly_id).created_at = T0
    return assembly_id


def _make_live(sessions: Sessions, stage_id: int, assembly_id: int) -> None:
    with sessions.begin() as session:
        stage = session.get_one(Stage, stage_id)
        stage.live_commit, stage.assembly_id = "a" * 40, assembly_id
