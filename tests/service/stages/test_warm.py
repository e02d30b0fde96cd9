"""A worker's second synth with the same dependencies is run by a process that waited for it."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from service.stages.journal import read_events
from service.worker.warmth import warm_keeper
from tests.service.stages import tiny_app
from tests.service.stages.conftest import House
from tests.stagedoor.synth.small_cdk import installed

APP = """
import aws_cdk, os, shutil
aws_cdk.App().synth()
for name in ("tiny.template.json", "manifest.json"):
    shutil.copy(name, os.environ["CDK_OUTDIR"])
"""


def test_a_push_is_synthesised_by_a_process_that_waited(
    live_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    house, environment = live_house, installed(tmp_path / "made")
    monkeypatch.setattr("stagedoor.synth.running.install", lambda *_anything: environment)
    with warm_keeper(house.parts.settings) as keeper:
        assert keeper is not None
        house.parts = replace(house.parts, warm_door=keeper.door)
        source = house.pull_request(**{"cdk.json": json.dumps({"app": "python app.py"}), "app.py": APP})
        house.resolve(source)
        house.reconcile(source)
        until_there(house.parts.settings.data_dir, "warm/keeper-*/warm-*/passing/ready")

        house.push(source, {"tiny.template.json": tiny_app.template("two")})
        house.touch(source)
        house.resolve(source)
        house.reconcile(source)

    assert house.stage(source).outputs == {"Tiny": {"Word": "two"}}
    assert [is_warm(house, run.id) for run in house.runs(source)] == [False, True]
    assert not list(house.parts.settings.data_dir.glob("w*/*-*"))  # neither work nor warm


def is_warm(house: House, run_id: int) -> bool:
    return "warm" in [event["status"] for _, events in read_events(house.parts.blobs, run_id) for event in events]


def until_there(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 20
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
