"""What `stagedoor dev` shows, where it finds the service, and what it says where it cannot begin."""

import json
import stat
from pathlib import Path

import pytest

from stagedoor.cli.invocations import JsonLines, Lines
from stagedoor.cli.service import Logins, NoService, NotLoggedIn, Service, find_server
from stagedoor.live.agent_events import (
    AgentEvent,
    Connected,
    Developer,
    InvocationFinished,
    InvocationStarted,
    LogLine,
    Others,
    WorkerEnded,
)
from stagedoor.live.reload import Reloaded

EVENT = json.dumps({"rawPath": "/notes", "requestContext": {"http": {"method": "GET", "path": "/"}}}).encode()
ERROR = {
    "errorType": "KeyError",
    "errorMessage": "'text'",
    "stackTrace": ['  File "/notes/handler.py", line 18, in handle\n    text = body["text"]\n'],
}
STORY: tuple[AgentEvent | Reloaded, ...] = (
    Connected("1", "mona", "dev-mona", resumed=False),
    Others((Developer("2", "ann", ("notes-dev-Api",)),)),
    InvocationStarted("a", "notes-dev-Api", "r1", EVENT, 0),
    LogLine("notes-dev-Api", "a", "\x1b[31mlooking\x1b[0m\n"),
    InvocationFinished("a", "notes-dev-Api", "r1", 12.3, 20),
    InvocationStarted("b", "notes-dev-Api", "r2", EVENT, 0),
    InvocationFinished("b", "notes-dev-Api", "r2", 5.0, 20, ERROR),
    WorkerEnded("notes-dev-Api", 7, "idle"),
    Reloaded(frozenset({"notes-dev-Api"}), (Path("/notes/handler.py"),)),
)


def test_each_invocation_is_shown_with_what_it_logged_and_how_it_failed() -> None:
    written: list[str] = []
    lines = Lines({"notes-dev-Api": "Api"}, written.append)
    for event in STORY:
        lines.show(event)
    assert [line.partition("  ")[2] if line[2] == ":" else line.strip() for line in map(unstyled, written)] == [
        "Connected to dev-mona as mona. Ctrl-C disconnects.",
        "Also on this stage: ann (Api)",
        "Api  GET /notes  12 ms",
        "| looking",
        "Api  GET /notes  failed after 5 ms",
        '|   File "/notes/handler.py", line 18, in handle',
        '|     text = body["text"]',
        "| KeyError: 'text'",
        "handler.py changed: Api",
    ]


def test_programs_get_a_line_for_each_event() -> None:
    written: list[str] = []
    lines = JsonLines({"notes-dev-Api": "Api"}, written.append)
    for event in STORY:
        lines.show(event)
    said = [json.loads(line) for line in written]
    kinds = ["connected", "others", "started", "printed", "finished", "started", "finished", "worker-ended", "reloaded"]
    assert [each["event"] for each in said] == kinds
    assert (said[2]["name"], said[2]["source"]) == ("Api", "GET /notes")
    assert said[6]["error"] == ERROR


def test_a_login_is_for_its_server_and_for_nobody_elses_eyes(tmp_path: Path) -> None:
    logins = Logins(tmp_path / "stagedoor" / "logins.json")
    logins.keep("http://one.example", "secret", "mona")
    logins.keep("http://two.example", "other", "mona")
    assert stat.S_IMODE((tmp_path / "stagedoor" / "logins.json").stat().st_mode) == 0o600
    assert find_server(None, None, logins) == "http://two.example"
    assert find_server(None, "http://one.example/", logins) == "http://one.example"
    with pytest.raises(NotLoggedIn, match="Run `stagedoor login --server"):
        Service.logged_in("http://three.example", logins)


def test_what_is_no_service_is_said_to_be_none(tmp_path: Path) -> None:
    logins = Logins(tmp_path / "logins.json")
    with pytest.raises(NoService, match="is not the URL of a service"):
        find_server("file:///etc/passwd", None, logins)
    with pytest.raises(NoService, match="does not answer"):
        Service("http://127.0.0.1:9").get("/stages")


def unstyled(text: str) -> str:
    from stagedoor.cli.words import plain

    return plain(text)
