import base64
import json

import pytest

from service.relay.routing import chosen, named_developer
from service.relay.sessions import Session

ANN = Session("1", 1, "ann", 10.0)
BOB = Session("2", 1, "bob", 20.0)


def session(session_id, developer, at, **more) -> Session:
    return Session(session_id, 1, developer, at, **more)


def test_on_a_preview_it_is_the_one_that_came_first():
    assert chosen([BOB, ANN], "list") is ANN
    assert chosen([BOB], "list") is BOB
    assert chosen([], "list") is None


def test_on_a_personal_stage_it_is_the_owner_or_the_deployed_code():
    ann, bob = (session(one, one, 10, owner="Bob", personal=True) for one in ("ann", "bob"))
    assert chosen([ann, bob], "list") is bob
    assert chosen([ann], "list") is None


def test_the_last_claim_wins_and_what_is_claimed_is_all_that_one_serves():
    ann = session("1", "ann", 10, functions=frozenset({"list"}))
    bob = session("2", "bob", 20, functions=frozenset({"list"}))
    eve = session("3", "eve", 5)
    assert chosen([ann, bob, eve], "list") is bob
    assert chosen([ann, bob, eve], "create") is eve
    assert chosen([ann, bob], "create") is None


def test_a_named_developer_gets_it_or_nobody_does():
    assert chosen([ANN, BOB], "list", "BOB") is BOB
    assert chosen([ANN, BOB], "list", "eve") is None
    laptop = session("4", "ann", 30, name="ann-laptop")
    assert chosen([ANN, laptop], "list", "ann-laptop") is laptop


def test_of_ones_own_sessions_the_connected_and_newest_gets_it():
    cut, newer = session("1", "ann", 10, cut_at=15.0), session("3", "ann", 30)
    assert chosen([cut, newer, BOB], "list") is newer
    assert chosen([cut, BOB], "list") is cut


@pytest.mark.parametrize(
    ("event", "headers", "name"),
    [
        (b'{"headers": {"x-stagedoor-developer": "bob"}}', {}, "bob"),
        (b'{"headers": {"X-Stagedoor-Developer": " bob "}}', {}, "bob"),
        (b'{"headers": null, "body": "x-stagedoor-developer"}', {}, ""),
        (b'{"headers": {"x-stagedoor-developer": ["bob"]}}', {}, ""),
        (b'x-stagedoor-developer {"', {}, ""),
        (b"{}", {"Lambda-Runtime-Client-Context": json.dumps({"custom": {"stagedoor-developer": "bob"}})}, "bob"),
        (
            b"{}",
            {"Lambda-Runtime-Client-Context": base64.b64encode(b'{"custom": {"stagedoor-developer": "bob"}}').decode()},
            "bob",
        ),
        (b"{}", {"Lambda-Runtime-Client-Context": "{"}, ""),
        (b"{}", {"Lambda-Runtime-Client-Context": "é"}, ""),
    ],
)
def test_an_event_names_a_developer(event, headers, name):
    assert named_developer(headers, event) == name
