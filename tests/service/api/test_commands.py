"""Commands that ask the service (`stagedoor runs`, `plan`, `cancel`, …), as one types them, on the served API."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from service.models import AssemblyRow, Outcome, PlanRow, Stage
from service.stages.intents import newest_intent
from stagedoor.cli import service_events, stagedoor
from stagedoor.cli.service import Logins, Service
from stagedoor.cli.service_events import Message, followed, read_messages
from tests.service.api.conftest import Front, add_run, machine, say
from tests.service.rows import T0

Type = Callable[..., Result]


@pytest.fixture
def type_in(front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Types a command in a clone of the repository, as mona, who is logged in."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    Logins.of_user().keep(front.url, front.headers["Authorization"].removeprefix("Bearer "), "mona")
    clone = tmp_path / "notes"
    clone.mkdir()
    (clone / "cdk.json").write_text('{"app": "python3 app.py"}')
    for words in (["init", "--quiet"], ["remote", "add", "origin", "http://127.0.0.1:1/acme/notes.git"]):
        subprocess.run(["git", *words], cwd=clone, check=True)
    monkeypatch.chdir(clone)
    return lambda *words: CliRunner().invoke(stagedoor, words, standalone_mode=False)


def failure(typed: Result) -> str:
    """Return the error that a command ended with: the last line that `--json` printed."""
    assert typed.exit_code == 1
    error = json.loads(typed.stdout.splitlines()[-1])["error"]
    return str(error["id"])


def result(typed: Result) -> dict[str, Any]:
    assert typed.exit_code == 0, typed.output
    said: dict[str, Any] = json.loads(typed.stdout.splitlines()[-1])
    assert (said["event"], said["ok"]) == ("result", True)
    return said


def deployed(front: Front, **more: Any) -> int:
    """Add a run that deployed what is wanted."""
    generation = front.want(f"{time.monotonic_ns():040x}")
    run = add_run(front.parts.sessions, front.stage, Outcome.SUCCEEDED, generation, **more)
    front.finish(run, Outcome.SUCCEEDED)
    return run


def kept(front: Front) -> int:
    with front.parts.sessions.begin() as session:
        stage = session.get_one(Stage, front.stage)
        row = AssemblyRow(
            app_id=stage.app_id,
            trust=stage.trust,
            digest=f"{time.monotonic_ns():064x}",
            blob="assemblies/one.zip",
            created_at=T0,
        )
        session.add(row)
        session.flush()
        return row.id


def test_runs_are_listed_and_one_is_told_whole(front: Front, type_in: Type) -> None:
    run = deployed(front)
    say(front, run, "the word is hello")
    listed = type_in("runs", "--stage", "pr-1", "--limit", "1")
    assert listed.stdout.split("\t")[:4] == [str(run), "pr-1", "deploy", "succeeded"]
    assert result(type_in("runs", "--json"))["runs"][0]["id"] == run
    told = type_in("runs", str(run), "-v")
    assert "synth | the word is hello" in told.output
    assert "Notes.Url = https://notes.example.com/" in told.stdout
    assert failure(type_in("runs", "--stage", "pr-99", "--follow", "--json", "999")) == "service-refused"


def test_a_run_is_followed_until_it_fails_with_its_own_words(front: Front, type_in: Type) -> None:
    run = add_run(front.parts.sessions, front.stage, None, front.want("1" * 40))

    def later() -> None:
        time.sleep(0.5)
        say(front, run, "about to break")
        location = {"path": "app.py", "line": 7, "column": 1}
        error = {"id": "synth-failed", "what": "The app broke.", "remedy": "Mend it.", "location": location}
        front.finish(run, Outcome.FAILED, error=error)

    threading.Thread(target=later).start()
    typed = type_in("runs", "--follow", "--stage", "pr-1", "--json")
    assert failure(typed) == "synth-failed"
    lines = [json.loads(line) for line in typed.stdout.splitlines()]
    assert [(line["event"], line.get("message")) for line in lines[:-1]] == [("log", "about to break")]
    assert lines[-1]["error"]["location"] == {"path": "app.py", "line": 7, "column": 1}
    assert result(type_in("retry", "--stage", "pr-1", "--json"))["new"] is True


def test_a_run_is_cancelled_and_seen_to_its_end(front: Front, type_in: Type) -> None:
    assert failure(type_in("cancel", "--stage", "pr-1", "--json")) == "no-such-run"
    run = add_run(front.parts.sessions, front.stage, None, front.want("2" * 40))

    def later() -> None:
        time.sleep(0.5)
        front.finish(run, Outcome.CANCELLED)

    threading.Thread(target=later).start()
    assert result(type_in("cancel", "--stage", "pr-1", "--follow", "--json"))["outcome"] == "cancelled"
    assert result(type_in("cancel", str(run), "--json"))["cancelled"] is False
    assert type_in("cancel").exit_code != 0


def test_a_stage_is_rolled_back_to_what_it_had_and_its_run_is_followed(front: Front, type_in: Type) -> None:
    first, second = kept(front), kept(front)
    good = deployed(front, assembly_id=first)
    deployed(front, assembly_id=second)

    def worker() -> None:
        while True:
            time.sleep(0.1)
            with front.parts.sessions() as session:
                wanted = newest_intent(session, session.get_one(Stage, front.stage))
            if wanted is not None and wanted.assembly_id == first:
                break
        run = add_run(front.parts.sessions, front.stage, None, wanted.generation, assembly_id=first)
        say(front, run, "back again")
        front.finish(run, Outcome.SUCCEEDED)

    threading.Thread(target=worker).start()
    typed = type_in("rollback", "--stage", "pr-1", "--follow", "-v")
    assert typed.exit_code == 0, typed.output
    assert f"pr-1 back to run {good}" in typed.output
    assert "back again" in typed.output
    assert result(type_in("promote", "pr-1", "--stage", "pr-1", "--json"))["new"] is False
    assert failure(type_in("promote", "999", "--stage", "pr-1", "--json")) == "service-refused"
    assert failure(type_in("promote", "pr-1", "--stage", "pr-99", "--json")) == "service-refused"


PLAN: dict[str, Any] = {
    "unchanged": False,
    "refusals": [],
    "stacks": [
        {
            "name": "notes-pr-1-Data",
            "id": "Data",
            "action": "update",
            "reason": "its template changes",
            "permissions": [
                {
                    "action": "add",
                    "kind": "statement",
                    "subject": "Data/Role",
                    "rule": {"Effect": "Allow", "Action": ["s3:*"]},
                }
            ],
            "resources": [
                {
                    "logical_id": "Table",
                    "type": "AWS::DynamoDB::Table",
                    "construct_path": "Data/Table",
                    "action": "modify",
                    "replacement": "always",
                    "loses_data": True,
                    "kept": False,
                    "cause": "",
                    "properties": [
                        {"path": "Key", "before": "id", "after": "key", "replacement": "always", "cause": ""}
                    ],
                }
            ],
            "parameters": [],
            "outputs": [],
        }
    ],
}


def planner(front: Front, outcome: Outcome, said: dict[str, Any] | None = None, **more: Any) -> threading.Thread:
    """Make the next plan that is asked for, as a worker would."""

    def work() -> None:
        while True:
            time.sleep(0.1)
            with front.parts.sessions.begin() as session:
                plan = session.scalars(select(PlanRow).where(PlanRow.outcome.is_(None))).one_or_none()
                if plan is None:
                    continue
                if said is not None:
                    plan.blob = f"plans/{plan.id}/plan.json"
                    front.parts.blobs.put(plan.blob, json.dumps(said).encode())
                plan.outcome, plan.finished_at = outcome, T0
                for name, value in more.items():
                    setattr(plan, name, value)
                return

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_plan_is_asked_of_the_service_and_told_as_diff_tells_it(front: Front, type_in: Type) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, "commit", "--quiet", "--allow-empty", "-m", "one"], check=True)
    head = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    planner(front, Outcome.SUCCEEDED, PLAN)
    typed = type_in("plan", "--stage", "pr-1")
    assert typed.exit_code == 0, typed.output
    for line in (
        "notes-pr-1-Data is updated: its template changes",
        "+ Data/Role: Allow s3:*",
        "~ Data/Table  AWS::DynamoDB::Table  is replaced, loses its data",
        "~ Key: id → key  replaces",
    ):
        assert line in typed.output
    planner(front, Outcome.SUCCEEDED, PLAN)
    said = result(type_in("plan", "--stage", "pr-1", "--commit", head[:9], "--json"))
    assert (said["commit"], said["plan"], said["stage"]) == (head, PLAN, "pr-1")
    planner(front, Outcome.SUCCEEDED, PLAN)
    assert type_in("plan", "--stage", "pr-1", "--exit-code").exit_code == 1
    planner(front, Outcome.UNCHANGED, {"unchanged": True, "refusals": [], "stacks": []})
    assert "Nothing would change." in type_in("plan", "--stage", "pr-1", "--exit-code").output


def test_a_plan_that_fails_or_cannot_be_asked_for_says_why(front: Front, type_in: Type) -> None:
    assert failure(type_in("plan", "--stage", "pr-1", "--commit", "-no-such", "--json")) == "unknown-revision"
    run = deployed(front, assembly_id=kept(front))
    error = {"id": "synth-failed", "what": "The app broke.", "remedy": "Mend it."}
    planner(front, Outcome.FAILED, error=error)
    assert failure(type_in("plan", "--stage", "pr-1", "--run", str(run), "--json")) == "synth-failed"
    planner(front, Outcome.CANCELLED)
    assert failure(type_in("plan", "--stage", "pr-1", "--run", str(run), "--json")) == "run-failed"
    newer = {**PLAN, "stacks": [{**PLAN["stacks"][0], "action": "teleport"}]}
    planner(front, Outcome.SUCCEEDED, newer)
    assert failure(type_in("plan", "--stage", "pr-1", "--run", str(run), "--json")) == "plan-unreadable"
    assert failure(type_in("plan", "--stage", "pr-1", "--run", "999", "--json")) == "service-refused"
    assert type_in("plan", "--stage", "pr-1", "--run", "1", "--commit", "HEAD").exit_code != 0


def test_a_machine_needs_no_login(front: Front, type_in: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    Logins.of_user().keep(front.url, "a login that is over", "mona")
    assert failure(type_in("runs", "--json")) == "not-logged-in"
    secret = machine(front.parts.sessions)["Authorization"].removeprefix("Bearer ")
    monkeypatch.setenv("STAGEDOOR_TOKEN", secret)
    assert type_in("runs").exit_code == 0


def test_a_stream_that_breaks_is_taken_up_where_it_was(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    run = add_run(front.parts.sessions, front.stage, None, front.want("3" * 40))
    say(front, run, "one", "two", "three")
    front.finish(run, Outcome.SUCCEEDED)
    opened, places = service_events._opened, []

    class Cut:
        def __init__(self, answer: Any) -> None:
            self.answer, self.left = answer, 2

        def __enter__(self) -> Any:
            for line in self.answer:
                yield line
                if line == b"\n":
                    self.left -= 1
                if not self.left:
                    raise ConnectionResetError

        def __exit__(self, *_: object) -> None:
            self.answer.close()

    def cutting(service: Service, path: str, place: str) -> Any:
        places.append(place)
        return Cut(opened(service, path, place))

    monkeypatch.setattr(service_events, "_opened", cutting)
    service = Service(front.url, front.headers["Authorization"].removeprefix("Bearer "))
    said = list(followed(service, f"/runs/{run}/stream", lambda _seconds: None))
    assert [message.kind for message in said] == ["run", "log", "log", "log", "end"]
    assert places == ["", *(message.place for message in said[:-1])]


def test_lines_of_a_stream_are_read_as_browsers_read_them() -> None:
    lines = [
        b"retry: 1000\n",
        b"\n",
        b": comment\n",
        b"\n",
        b"id:1\r\n",
        b"event: log\r\n",
        b'data: {"a": 1}\r\n',
        b"\r\n",
    ]
    assert list(read_messages(lines)) == [Message("log", "1", {"a": 1})]
