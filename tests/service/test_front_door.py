"""Pages, health, metrics and a followed log, through the front door as it is served."""

import base64
import json
import shutil
import socket
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import uvicorn
from sqlalchemy import event

from service.asgi import make_front_door
from service.commands import server_config
from service.database import make_engine, make_sessions
from service.metrics import WEBHOOK_SECONDS, Metrics
from service.models import Intent, Outcome, Run, RunKind, Stage, Want
from service.parts import make_parts
from service.settings import Settings, SettingsInvalid
from service.stages.journal import Journal, events_prefix
from stagedoor.events import Event, EventKind
from tests.service.rows import T0, add_stage

NEEDED: dict[str, Any] = {
    "github_app_id": 1,
    "github_private_key": "a key",
    "github_webhook_secrets": ("a-secret-of-the-tests",),
}


class Door:
    def __init__(self, url):
        self.url = url

    def get(self, path, **options):
        return requests.get(self.url + path, timeout=20, **options)


def serve(settings):
    """Serve on a free port, on a thread, as the commands do; return the server and its URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(server_config(make_front_door(settings), settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    return server, thread, f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def settings(tmp_path, sqlite_template):
    made = Settings(data_dir=tmp_path, **NEEDED)
    shutil.copy(sqlite_template, tmp_path / "stagedoor.sqlite")
    return made


@pytest.fixture
def door(settings):
    server, thread, url = serve(settings)
    yield Door(url)
    server.should_exit = True
    thread.join()


@pytest.fixture
def run_id(settings):
    sessions = make_sessions(make_engine(settings.database))
    with sessions.begin() as session:
        stage = add_stage(session)
        stage.wanted_generation = 1
        stage.frozen_target = {"account": "000000000001", "region": "us-east-1"}
        stage.outputs = {"Tiny": {"Url": "https://example.com/?<b>"}}
        intent = Intent(
            stage_id=stage.id, generation=1, want=Want.COMMIT, commit="c" * 40, cause="opened", created_at=T0
        )
        session.add(intent)
        session.flush()
        run = Run(
            stage_id=stage.id,
            intent_id=intent.id,
            generation=1,
            fence=1,
            kind=RunKind.DEPLOY,
            commit="c" * 40,
            started_at=datetime.now(UTC),
        )
        session.add(run)
        session.flush()
        return run.id


def finish(settings, run_id):
    with make_sessions(make_engine(settings.database)).begin() as session:
        run = session.get_one(Run, run_id)
        run.outcome, run.finished_at = Outcome.SUCCEEDED, datetime.now(UTC)
        stage = session.get_one(Stage, run.stage_id)
        stage.live_commit, stage.done_generation = "c" * 40, 1


def say(settings, run_id, *messages):
    with Journal(make_parts(settings).blobs, events_prefix(run_id), lambda _event: None) as journal:
        journal._chunk = int(time.time() * 1000) % 10_000_000
        for message in messages:
            journal.emit(Event(EventKind.LOG, "synth", message=message))


def test_health_is_not_readiness(door):
    assert door.get("/healthz").json() == {"status": "ok"}
    assert door.get("/readyz").status_code == 200


def test_a_database_that_is_not_migrated_is_not_ready(tmp_path):
    server, thread, url = serve(Settings(data_dir=tmp_path, **NEEDED))
    assert requests.get(f"{url}/readyz", timeout=20).status_code == 503
    assert requests.get(f"{url}/healthz", timeout=20).status_code == 200
    server.should_exit = True
    thread.join()


def test_pages_show_stages_and_runs_and_escape_what_apps_say(door, settings, run_id):
    say(settings, run_id, "<script>alert(1)</script>")
    finish(settings, run_id)
    assert "pr-1" in door.get("/").text
    stage = door.get("/stages/1").text
    assert "https://example.com/?&lt;b&gt;" in stage
    page = door.get(f"/runs/{run_id}")
    assert "&lt;script&gt;alert(1)" in page.text
    assert "<script>alert" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert door.get("/runs/999").status_code == 404
    assert door.get("/stages/999").status_code == 404


def test_a_log_is_followed_while_it_goes_on_and_resumed_where_it_broke(door, settings, run_id):
    say(settings, run_id, "first")
    said, ids = [], []

    def later():
        time.sleep(0.6)
        say(settings, run_id, "second")
        finish(settings, run_id)

    threading.Thread(target=later).start()
    with door.get(f"/runs/{run_id}/events", stream=True) as stream:
        stream.encoding = "utf-8"
        for line in stream.iter_lines(chunk_size=1, decode_unicode=True):
            if line.startswith("id: "):
                ids.append(line[4:])
            elif line.startswith("data: ["):
                said += [event["message"] for event in json.loads(line[6:])]
    assert said == ["first", "second"]
    resumed = door.get(f"/runs/{run_id}/events", headers={"Last-Event-ID": ids[0]}).text
    assert "second" in resumed
    assert "first" not in resumed
    assert resumed.endswith('event: end\ndata: "succeeded"\n\n')


def test_many_open_streams_do_not_keep_a_health_check_waiting(door, run_id):
    streams = [door.get(f"/runs/{run_id}/events", stream=True) for _ in range(40)]
    assert all(stream.status_code == 200 for stream in streams)
    began = time.monotonic()
    assert door.get("/healthz").status_code == 200
    assert time.monotonic() - began < 2
    for stream in streams:
        stream.close()


def test_slow_senders_keep_nobody_waiting(door, monkeypatch):
    monkeypatch.setattr("service.flask_threads.BODY_SECONDS", 3)
    host, port = door.url.removeprefix("http://").split(":")
    head = f"POST /webhooks/github HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n"
    head += f"X-Hub-Signature-256: sha256={'0' * 64}\r\n\r\n{{"
    senders = [socket.create_connection((host, int(port)), timeout=20) for _ in range(40)]
    for sender in senders:
        sender.sendall(head.encode())
    time.sleep(0.5)
    began = time.monotonic()
    assert door.get("/healthz").status_code == 200
    assert time.monotonic() - began < 2
    assert senders[0].recv(1000).startswith(b"HTTP/1.1 408")
    for sender in senders:
        sender.close()


def test_metrics_count_what_is_in_the_database(door, settings, run_id, monkeypatch):
    monkeypatch.setattr("service.metrics.KEPT_SECONDS", 0)
    assert 'stagedoor_behind{what="stages"} 1.0' in door.get("/metrics").text
    finish(settings, run_id)
    text = door.get("/metrics").text
    assert 'stagedoor_behind{what="stages"} 0.0' in text
    assert 'stagedoor_runs_total{kind="deploy",outcome="succeeded"} 1.0' in text


def test_the_database_is_counted_once_in_five_seconds_however_often_somebody_asks(settings, run_id):
    parts, seconds, read = make_parts(settings), [100.0], []
    event.listen(parts.engine, "before_cursor_execute", lambda *said: read.append(said[2]))
    metrics = Metrics(parts, lambda: seconds[0])
    first = metrics.text()
    counting = len(read)
    finish(settings, run_id)
    seconds[0] += 4
    WEBHOOK_SECONDS.observe(0.01)
    assert metrics.text() != first, "what a process counts by itself is as it is now"
    assert (b'stagedoor_behind{what="stages"} 1.0' in metrics.text(), len(read)) == (True, counting)
    seconds[0] += 1
    assert (b'stagedoor_behind{what="stages"} 0.0' in metrics.text(), len(read)) == (True, 2 * counting)


def test_nobody_waits_for_numbers_that_a_slow_database_counts(settings, run_id):
    parts, seconds, counts, counted = make_parts(settings), [100.0], threading.Event(), threading.Event()
    metrics = Metrics(parts, lambda: seconds[0])
    before = metrics.text()

    def hold(*_said):
        counts.set()
        counted.wait(20)

    event.listen(parts.engine, "before_cursor_execute", hold)
    seconds[0] += 5
    scrape = threading.Thread(target=metrics.text)
    scrape.start()
    counts.wait(20)
    assert metrics.text() == before
    counted.set()
    scrape.join()


def test_off_loopback_pages_and_logs_need_a_password(settings, run_id):
    public = {"public_url": "https://stagedoor.example.com"}
    server, thread, url = serve(settings.model_copy(update=public))
    assert requests.get(url, timeout=20).status_code == 403
    assert requests.get(f"{url}/runs/{run_id}/events", timeout=20).status_code == 401
    assert requests.get(f"{url}/healthz", timeout=20).status_code == 200
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "stagedoor.example-tunnel.dev"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Host": "rebound.example.com:8000"},
    ],
)
def test_a_tunnel_to_a_laptop_shows_pages_to_nobody(door, run_id, headers):
    assert door.get("/", headers=headers).status_code == 403
    assert door.get(f"/runs/{run_id}/events", headers=headers).status_code == 401
    assert door.get("/healthz", headers=headers).status_code == 200


def test_a_long_log_is_shown_from_its_end(door, settings, run_id, monkeypatch):
    monkeypatch.setattr("service.console.views.EVENTS_SHOWN", 2)
    say(settings, run_id, "first", "second", "third")
    finish(settings, run_id)
    page = door.get(f"/runs/{run_id}").text
    assert "1 earlier lines are not shown" in page
    assert "first" not in page
    assert page.index("second") < page.index("third")


def test_the_password_lets_in(settings, run_id):
    from pydantic import SecretStr

    public = {"public_url": "https://stagedoor.example.com", "console_password": SecretStr("open sesame")}
    server, thread, url = serve(settings.model_copy(update=public))
    assert requests.get(url, timeout=20).status_code == 401
    assert requests.get(url, auth=("me", "wrong"), timeout=20).status_code == 401
    assert requests.get(url, auth=("me", "open sesame"), timeout=20).status_code == 200
    broken = base64.b64encode(b"\xff").decode()
    assert requests.get(url, headers={"Authorization": f"Basic {broken}"}, timeout=20).status_code == 401
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("missing", ["github_app_id", "github_private_key", "github_webhook_secrets"])
def test_it_refuses_to_start_without(tmp_path, missing):
    with pytest.raises(SettingsInvalid):
        make_front_door(Settings(data_dir=tmp_path, **{k: v for k, v in NEEDED.items() if k != missing}))


def test_a_short_webhook_secret_is_refused(tmp_path):
    with pytest.raises(SettingsInvalid, match="shorter"):
        make_front_door(Settings(data_dir=tmp_path, **{**NEEDED, "github_webhook_secrets": ("short",)}))


def test_a_private_key_that_is_not_there_is_said_in_words(tmp_path):
    with pytest.raises(SettingsInvalid, match="private key cannot be read"):
        make_front_door(Settings(data_dir=tmp_path, **{**NEEDED, "github_private_key_file": tmp_path / "none.pem"}))


def test_a_setting_that_cannot_be_read_is_named_and_its_value_is_not_shown(monkeypatch):
    monkeypatch.setenv("STAGEDOOR_LEASE_SECONDS", "hunter2")
    with pytest.raises(SettingsInvalid, match="STAGEDOOR_LEASE_SECONDS cannot be read") as error:
        Settings()
    assert "hunter2" not in str(error.value)
