"""What an app says of itself, from its assembly to the run and the pull request."""

import copy
import json

from service.blobs import FolderBlobs
from service.stages.journal import read_events
from tests.service.stages import tiny_app
from tests.service.stages.conftest import House
from tests.service.stages.test_reconcile import live


def saying(**said: str) -> dict[str, str | None]:
    """Return the app's manifest, in which a construct says something at each of these levels."""
    manifest = copy.deepcopy(json.loads(tiny_app.files("one")["manifest.json"]))
    entries = [{"type": f"aws:cdk:{level}", "data": text} for level, text in said.items()]
    manifest["artifacts"][tiny_app.STACK]["metadata"] = {"/Tiny/Word": entries}
    return {"manifest.json": json.dumps(manifest)}


def comment(house: House, source: int) -> str:
    (only,) = house.github.comments(house.repository, house.number(source))
    return str(only["body"])


def test_a_warning_is_in_the_run_and_in_the_comment(live_house: House) -> None:
    source = live(live_house)
    live_house.push(source, saying(warning="</details> @acme ghp_" + "a" * 36, info="by the way"))
    live_house.reconcile(source)
    run = live_house.runs(source)[-1]
    assert (run.outcome, [row["construct_path"] for row in run.warnings]) == ("unchanged", ["Tiny/Word"])
    assert "ghp_" not in str(run.warnings)
    body = comment(live_house, source)
    assert "1 warning</summary>" in body
    assert "<code>Tiny/Word</code>" in body
    assert "@acme" not in body
    assert body.count("</details>") == 1
    blobs = live_house.parts.blobs
    assert isinstance(blobs, FolderBlobs)
    events = [event for _, chunk in read_events(blobs, run.id) for event in chunk]
    assert [event["kind"] for event in events if event["subject"] == "Tiny/Word"] == ["log", "warning"]


def test_an_error_stops_the_run_before_anything_is_changed(live_house: House) -> None:
    source = live(live_house)
    good = live_house.stage(source).live_commit
    live_house.push(source, {**saying(error="It must not be."), "tiny.template.json": tiny_app.template("two")})
    live_house.reconcile(source)
    run = live_house.runs(source)[-1]
    assert run.error is not None
    assert (run.outcome, run.error["id"]) == ("failed", "app-has-errors")
    assert live_house.stage(source).live_commit == good
    assert "The app reports an error at &#39;Tiny/Word&#39;: It must not be." in comment(live_house, source)
