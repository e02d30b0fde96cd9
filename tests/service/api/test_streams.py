"""Streams and uploads, through the front door as it is served."""

import io
import json
import secrets
import socket
import threading
import time
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from service.access.reach import Right
from service.api.glances import Glances
from service.models import AssemblyRow, Audit, Outcome, RunKind, Stage, Want
from service.stages.intents import append_intent
from stagedoor.target import Trust
from tests.service.api.conftest import Front, Message, add_run, machine, messages, say


def texts(said: list[Message]) -> list[str]:
    return [data["message"] for kind, _, data in said if kind == "log"]


def test_a_run_is_followed_while_it_goes_on_and_from_where_it_was_cut(front: Front) -> None:
    run = add_run(front.parts.sessions, front.stage, None)
    say(front, run, "first", "second")

    def later() -> None:
        time.sleep(0.5)
        say(front, run, "third\nline", goes_on=True)
        front.finish(run, Outcome.SUCCEEDED)

    threading.Thread(target=later).start()
    said = list(front.stream(f"/runs/{run}/stream"))
    assert [kind for kind, _, _ in said] == ["run", "log", "log", "log", "end"]
    assert said[0][2]["id"] == run
    assert texts(said) == ["first", "second", "third\nline"]
    assert set(said[1][2]) == {"kind", "subject", "status", "message", "seconds", "data", "at"}
    assert said[-1][2] == {
        "outcome": "succeeded",
        "run": run,
        "generation": 1,
        "commit": "c" * 40,
        "status": "live",
        "outputs": {"Notes": {"Url": "https://notes.example.com/", "Table": "notes-1"}},
        "url": "https://notes.example.com/",
        "changed": True,
        "error": None,
    }
    for number, left in ((1, ["second", "third\nline"]), (2, ["third\nline"]), (3, [])):
        resumed = list(front.stream(f"/runs/{run}/stream", after=said[number][1]))
        assert texts(resumed) == left
        assert [kind for kind, _, _ in resumed if kind != "log"] == ["end"]
    page = front.ask("GET", f"/runs/{run}/events", params={"after": said[1][1], "limit": 1}).json()
    assert ([event["message"] for event in page["events"]], page["over"]) == (["second"], False)
    rest = front.ask("GET", f"/runs/{run}/events", params={"after": page["next"]}).json()
    assert ([event["message"] for event in rest["events"]], rest["over"], rest["next"]) == (["third\nline"], True, None)


def test_a_stage_is_followed_through_all_runs_to_what_was_wanted(front: Front) -> None:
    generation = front.want("d" * 40)

    def later() -> None:
        time.sleep(0.3)
        lost = add_run(front.parts.sessions, front.stage, None, generation)
        say(front, lost, "of the first")
        front.finish(lost, Outcome.LOST)
        second = add_run(front.parts.sessions, front.stage, None, generation)
        say(front, second, "of the second")
        error = {"id": "synth-failed", "what": "It broke.", "remedy": "Mend it.", "detail": "", "location": None}
        front.finish(second, Outcome.FAILED, error=error)

    threading.Thread(target=later).start()
    said = list(front.stream(f"/stages/{front.stage}/stream?generation={generation}"))
    assert [kind for kind, _, _ in said] == ["run", "log", "run", "log", "end"]
    assert texts(said) == ["of the first", "of the second"]
    end = said[-1][2]
    assert (end["outcome"], end["changed"], end["url"], end["error"]["id"]) == ("failed", False, "", "synth-failed")
    # Cut off before the first run said anything, and at the very end of it.
    resumed = list(front.stream(f"/stages/{front.stage}/stream?generation={generation}", said[0][1]))
    assert [kind for kind, _, _ in resumed] == ["log", "run", "log", "end"]
    resumed = list(front.stream(f"/stages/{front.stage}/stream?generation={generation}", said[1][1]))
    assert [kind for kind, _, _ in resumed] == ["run", "log", "end"]
    # A cursor of somebody else's run leads to the beginning.
    assert len(list(front.stream(f"/stages/{front.stage}/stream?generation={generation}", "999999.1.0"))) == 5


def test_a_stage_that_was_done_without_a_run_says_so(front: Front) -> None:
    generation = front.want("e" * 40)
    with front.parts.sessions.begin() as session:
        session.get_one(Stage, front.stage).done_generation = generation
    (end,) = front.stream(f"/stages/{front.stage}/stream?generation={generation}")
    assert (end[0], end[2]["outcome"], end[2]["run"]) == ("end", "refused", None)


def test_who_waits_for_a_deploy_is_told_when_the_stage_went_instead(front: Front) -> None:
    generation = front.want("6" * 40)
    with front.parts.sessions.begin() as session:
        gone = append_intent(session, session.get_one(Stage, front.stage), Want.GONE, "closed").generation
    run = add_run(front.parts.sessions, front.stage, None, gone, kind=RunKind.REMOVE)
    front.finish(run, Outcome.SUCCEEDED)
    waited, removed = (
        list(front.stream(f"/stages/{front.stage}/stream?generation={number}"))[-1][2] for number in (generation, gone)
    )
    assert (waited["outcome"], waited["changed"], waited["run"]) == ("superseded", False, run)
    assert (removed["outcome"], removed["changed"], removed["generation"]) == ("succeeded", True, gone)


def test_a_quiet_stream_says_that_it_is_there_and_stops_in_time(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.event_stream.KEEP_ALIVE_SECONDS", 0.1)
    monkeypatch.setattr("service.api.event_stream.LONGEST_SECONDS", 1.0)
    run = add_run(front.parts.sessions, front.stage, None)
    with front.ask("GET", f"/runs/{run}/stream", stream=True) as answer:
        said = answer.text
    assert ": still here\n\n" in said
    assert "event: end" not in said
    front.finish(run, Outcome.SUCCEEDED)


def test_open_streams_are_no_threads_and_look_together(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = Glances._read_runs

    def counted(self: Glances, ids: list[int]) -> Any:
        asked.append(len(ids))
        return read(self, ids)

    monkeypatch.setattr(Glances, "_read_runs", counted)
    run = add_run(front.parts.sessions, front.stage, None)
    before = threading.active_count()
    streams = [front.ask("GET", f"/runs/{run}/stream", stream=True) for _ in range(60)]
    time.sleep(1.5)
    began = time.monotonic()
    assert requests.get(f"{front.url}/healthz", timeout=20).status_code == 200
    assert time.monotonic() - began < 2
    assert threading.active_count() - before < 20
    assert len(asked) < 12
    say(front, run, "to all")
    front.finish(run, Outcome.SUCCEEDED)
    for stream in streams:
        assert [kind for kind, _, _ in messages(stream)] == ["run", "log", "end"]
        stream.close()


def test_streams_and_uploads_are_for_who_may(front: Front) -> None:
    run = add_run(front.parts.sessions, front.stage)
    other = machine(front.parts.sessions, "staging", (Right.READ, Right.DEPLOY))
    upload = "/assemblies?repository=127.0.0.1/acme/notes&app=notes"
    for method, path in (
        ("GET", f"/runs/{run}/stream"),
        ("GET", f"/stages/{front.stage}/stream"),
        ("POST", f"{upload}&stage=pr-1"),
    ):
        answer = front.ask(method, path, headers={"Authorization": "Bearer none"})
        assert (answer.status_code, answer.json()["id"]) == (401, "not-logged-in")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        answer = front.ask(method, path, headers=other)
        assert (answer.status_code, answer.json()["id"]) == (403, "forbidden")
    assert front.ask("GET", "/runs/999/stream").json()["id"] == "unknown-run"
    assert front.ask("GET", f"/runs/{2**64}/stream").json()["id"] == "unknown-path"
    assert front.ask("HEAD", f"/runs/{run}/stream").headers["content-type"].startswith("text/event-stream")
    assert front.ask("GET", f"/stages/{front.stage}/stream?generation=x").json()["id"] == "invalid-request"


def archive(**more: bytes) -> bytes:
    """Return an assembly with one empty stack, and files beside it, as an archive."""
    manifest = {
        "version": "38.0.0",
        "artifacts": {
            "Notes": {
                "type": "aws:cloudformation:stack",
                "environment": "aws://unknown-account/unknown-region",
                "properties": {"templateFile": "Notes.template.json", "stackName": "Notes"},
            }
        },
    }
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("manifest.json", json.dumps(manifest))
        file.writestr("Notes.template.json", json.dumps({"Resources": {}}))
        for name, content in more.items():
            file.writestr(name, content)
    return kept.getvalue()


ZIP = {"Content-Type": "application/zip"}
PLACE = "/assemblies?repository=127.0.0.1/acme/notes&app=notes"


def test_an_assembly_is_taken_in_and_deployed(front: Front) -> None:
    said = front.ask("POST", f"{PLACE}&commit={'f' * 40}", data=archive(), headers=ZIP)
    assert said.status_code == 201, said.text
    with front.parts.sessions() as session:
        row = session.get_one(AssemblyRow, said.json()["assembly"])
        assert (row.commit, row.trust) == ("f" * 40, Trust.PREVIEW)
        told = session.query(Audit).order_by(Audit.id.desc()).first()
        assert (told.actor, told.action, told.subject) == ("mona", "upload", f"assembly {row.id}")
    wanted = front.ask("POST", f"/stages/{front.stage}/deploys", json=said.json()).json()
    assert (wanted["stage"], wanted["new"]) == (front.stage, True)
    assert list((front.parts.settings.data_dir / "uploads").iterdir()) == []


def test_what_is_no_assembly_or_too_large_is_refused_by_name(front: Front) -> None:
    outside = archive(**{"../outside": b"x"})
    random = secrets.token_bytes(3_500_000)

    def pieces() -> Iterator[bytes]:
        yield random

    refused: dict[str, tuple[int, Any]] = {
        "unsafe-assembly-archive": (422, {"data": outside, "headers": ZIP}),
        "wrong-media-type": (415, {"data": archive(), "headers": {"Content-Type": "application/gzip"}}),
        "body-too-large": (413, {"data": pieces(), "headers": ZIP}),  # nobody announced its length
        "unknown-app": (404, {"data": archive(), "headers": ZIP}),
    }
    for error, (status, sent) in refused.items():
        place = PLACE.replace("app=notes", "app=none") if error == "unknown-app" else PLACE
        answer = front.ask("POST", place, **sent)
        assert (answer.status_code, answer.json()["id"]) == (status, error)
        assert answer.headers["content-type"] == "application/problem+json"
    assert list((front.parts.settings.data_dir / "uploads").iterdir()) == []


@pytest.mark.parametrize("limit", ["PIECE_SECONDS", "WHOLE_SECONDS"])
def test_an_upload_that_falls_silent_is_given_up(front: Front, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(f"service.api.assemblies.{limit}", 0.3)
    host, port = front.url.removeprefix("http://").split(":")
    lines = [f"POST /api/v1{PLACE} HTTP/1.1", f"Host: {host}", "Content-Length: 1000", "Content-Type: application/zip"]
    lines.append(f"Authorization: {front.headers['Authorization']}")
    with socket.create_connection((host, int(port)), timeout=20) as sender:
        sender.sendall("\r\n".join([*lines, "", "PK"]).encode())
        assert sender.recv(1000).startswith(b"HTTP/1.1 408")
