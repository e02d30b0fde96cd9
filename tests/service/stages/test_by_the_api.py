"""A preview's life as a workflow or a person has it over the API: asked for, followed, rolled back, removed."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from sqlalchemy import select

from service.access.tokens import LoginToken, Tokens
from service.blobs import FolderBlobs
from service.models import PlanRow, Stage
from service.stages.planning import make_plan
from service.stages.reconcile import reconcile
from tests.service.api.conftest import SECRET, Message, messages
from tests.service.stages import tiny_app
from tests.service.stages.conftest import House
from tests.service.test_front_door import serve


@pytest.fixture
def served(live_house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[House, str]]:
    """A house whose front door is served, with a worker behind it."""
    monkeypatch.setattr("service.api.event_stream.LONGEST_SECONDS", 60)
    settings = live_house.parts.settings.model_copy(
        update={
            "github_webhook_secrets": (SecretStr(SECRET),),
            "database_url": str(live_house.parts.engine.url),
        }
    )
    parts = replace(live_house.parts, settings=settings, blobs=FolderBlobs(settings.data_dir / "blobs"))
    house = replace(live_house, parts=parts)
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            with parts.sessions() as session:
                behind = session.scalars(select(Stage.id).where(Stage.done_generation < Stage.wanted_generation)).all()
                planned = session.scalars(select(PlanRow.id).where(PlanRow.outcome.is_(None))).all()
            for plan_id in planned:
                make_plan(parts, house.clients, plan_id)
            for stage_id in behind:
                reconcile(parts, house.clients, stage_id)

    worker = threading.Thread(target=work)
    worker.start()
    server, thread, url = serve(settings)
    yield house, url
    server.should_exit = True
    stop.set()
    thread.join()
    worker.join()


def test_a_preview_is_asked_for_followed_rolled_back_and_removed(served: tuple[House, str]) -> None:
    house, url = served
    token = Tokens.of(house.parts.settings).mint(LoginToken("mona", 102, "local"))

    def ask(method: str, path: str, **more: Any) -> Any:
        answer = requests.request(
            method, f"{url}/api/v1{path}", headers={"Authorization": f"Bearer {token}"}, timeout=20, **more
        )
        assert answer.ok, answer.text
        return answer.json()

    def followed(requested: dict[str, Any]) -> list[Message]:
        if "plan" in requested:
            return said_by(f"/plans/{requested['plan']}/stream")
        return said_by(f"/stages/{requested['stage']}/stream?generation={requested['generation']}")

    def said_by(path: str) -> list[Message]:
        with requests.get(
            f"{url}/api/v1{path}", headers={"Authorization": f"Bearer {token}"}, stream=True, timeout=60
        ) as answer:
            said = list(messages(answer))
        assert said[-1][0] == "end", said
        return said

    def word(end: dict[str, Any]) -> tuple[str, bool, Any]:
        return end["outcome"], end["changed"], end["outputs"].get("Tiny", {}).get("Word")

    source = house.pull_request()
    house.resolve(source)
    query = {"repository": f"127.0.0.1/{house.repository.full_name}", "stage": house.stage(source).name}
    (stage,) = ask("GET", "/stages", params=query)["stages"]
    said = followed({"stage": stage["id"], "generation": stage["wanted_generation"]})
    phases = [data["subject"] for kind, _, data in said if kind == "phase" and data["status"] == "done"]
    assert phases[:3] == ["fetch", "synth", "inspect"]
    assert word(said[-1][2]) == ("succeeded", True, "one")
    first = said[-1][2]["run"]

    pushed = house.push(source, tiny_app.files("two"))
    compared = ask("POST", "/plans", json={**query, "commit": pushed})
    said = followed(compared)
    phases = [data["subject"] for kind, _, data in said if kind == "phase" and data["status"] == "done"]
    assert (phases, said[-1][2]["outcome"]) == (["fetch", "synth", "inspect", "plan"], "succeeded")
    (changed,) = ask("GET", f"/plans/{compared['plan']}")["plan"]["stacks"]
    assert changed["resources"][0]["properties"][0]["after"] == "two"
    assert ask("GET", f"/stages/{stage['id']}")["wanted_generation"] == 1
    requested = ask("POST", f"/stages/{stage['id']}/deploys", json={"commit": pushed})
    assert word(followed(requested)[-1][2]) == ("succeeded", True, "two")

    back = ask("POST", f"/stages/{stage['id']}/rollbacks", json={"run": first})
    said = followed(back)
    assert word(said[-1][2]) == ("succeeded", True, "one")
    assert "synth" not in [data["subject"] for kind, _, data in said if kind == "phase"]

    gone = ask("POST", f"/stages/{stage['id']}/removals")
    end = followed(gone)[-1][2]
    assert (end["outcome"], end["status"], end["outputs"]) == ("succeeded", "removed", {})
    causes = [run["cause"] for run in ask("GET", f"/stages/{stage['id']}/runs")["runs"]]
    assert causes == ["requested", "rolled-back", "requested", "opened"]
