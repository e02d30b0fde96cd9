"""`stagedoor tokens`, as whoever administers a repository types it, against the real application."""

import json
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from werkzeug.serving import make_server

from service.access.tokens import LoginToken, Tokens
from service.app import create_app
from service.models import Audit
from stagedoor.cli import stagedoor
from stagedoor.cli.service import Logins
from tests.service.access.conftest import World

Type = Callable[..., Result]


@pytest.fixture
def type_in(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Type]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    server = make_server("127.0.0.1", 0, create_app(parts=world.parts), threaded=True)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    host = world.parts.settings.github_web_url.removeprefix("http://")
    Logins.of_user().keep(url, Tokens.of(world.parts.settings).mint(LoginToken("mona", 102, host)), "mona")

    def type_in(*words: str) -> Result:
        return CliRunner().invoke(stagedoor, ["tokens", *words, "--repository", "127.0.0.1/acme/notes"])

    yield type_in
    server.shutdown()
    server.server_close()


def test_a_token_is_made_shown_once_listed_and_revoked(world: World, type_in: Type) -> None:
    made = type_in("create", "nightly", "--stage", "pr-*", "--right", "read", "--right", "remove", "--days", "7")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert world.callers.identify(f"Bearer {secret}").name == "token:nightly"
    listed = type_in("list")
    assert listed.stdout.split("\t")[1:6] == ["nightly", "pr-*", "read remove", secret[:7], "mona"]
    assert secret not in listed.output
    token_id = json.loads(type_in("list", "--json").stdout)["tokens"][0]["id"]
    assert type_in("revoke", str(token_id)).exit_code == 0
    with pytest.raises(Exception, match="not logged in"):
        world.callers.identify(f"Bearer {secret}")
    assert "revoked" in type_in("list").stdout
    with world.parts.sessions() as session:
        rows = session.scalars(select(Audit).order_by(Audit.id)).all()
    assert [(row.actor, row.action, row.subject) for row in rows] == [
        ("mona", "token-created", "token nightly"),
        ("mona", "token-revoked", "token nightly"),
    ]


def test_who_may_only_write_makes_none(world: World, type_in: Type) -> None:
    world.github.developer_permission = "write"
    for words in (("create", "nightly"), ("list",), ("revoke", "1")):
        assert type_in(*words).exit_code == 1
    assert type_in("list").output.count("may not") == 1
