"""Tokens of machines: made once, shown once, good for what they were made for until they are over."""

import re
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from service.access import machine_tokens
from service.access.callers import Caller
from service.access.errors import Forbidden, NotLoggedIn
from service.access.machine_tokens import TokenNotMade, is_well_formed, new_secret
from service.access.reach import Right
from service.database import now
from service.models import MachineToken
from tests.service.access.conftest import World

NIGHTLY: dict[str, Any] = {"stage": "pr-*", "rights": [Right.DEPLOY, Right.READ], "days": 30, "created_by": "mona"}


def make(world: World, name: str = "nightly", **more: Any) -> tuple[int, str]:
    with world.parts.sessions.begin() as session:
        row, secret = machine_tokens.create(session, world.repository_id, name, **{**NIGHTLY, **more})
        return row.id, secret


def shown(world: World, secret: str) -> Caller:
    return world.callers.identify(f"Bearer {secret}")


def refused(world: World, secret: str) -> str:
    with pytest.raises(NotLoggedIn) as error:
        shown(world, secret)
    assert error.value.what == NotLoggedIn().what
    return world.log.reason


def test_a_token_is_good_for_its_stages_and_rights(world: World) -> None:
    _, secret = make(world)
    caller = shown(world, secret)
    assert (caller.name, caller.repository_id) == ("token:nightly", world.repository_id)
    may = world.callers.may
    for stage, right, expected in (
        ("pr-1", Right.DEPLOY, True),
        ("pr-12345", Right.READ, True),
        (None, Right.READ, True),
        ("pr-1", Right.REMOVE, False),
        ("main", Right.READ, False),
        ("xpr-1", Right.DEPLOY, False),
        (None, Right.ADMIN, False),
    ):
        assert may(caller, world.repository_id, stage, right) is expected, (stage, right)
    assert not may(caller, world.repository_id + 1, "pr-1", Right.READ)
    with pytest.raises(Forbidden):
        world.callers.check(caller, world.repository_id, "main", Right.DEPLOY)
    assert world.log.reason == "stage out of reach"


def test_a_developers_own_stage_is_no_machines(world: World) -> None:
    caller = shown(world, make(world, stage="*")[1])
    assert world.callers.may(caller, world.repository_id, "demo", Right.DEPLOY)
    assert not world.callers.may(caller, world.repository_id, "dev-mona", Right.DEPLOY)


def test_the_secret_is_nowhere_but_with_its_owner(world: World) -> None:
    _, secret = make(world)
    assert re.fullmatch(r"sd_[0-9A-Za-z]{49}", secret)
    with world.parts.sessions() as session:
        row = session.scalars(select(MachineToken)).one()
        values = [str(getattr(row, column.key)) for column in MachineToken.__table__.columns]
    assert secret not in " ".join(values)
    assert row.hint == secret[:7]
    assert row.digest == machine_tokens.digest_of(secret)


def test_revoked_over_unknown_and_mistyped_ones_are_refused_alike(world: World) -> None:
    revoked, first = make(world)
    _, second = make(world, "second")
    unknown = new_secret()
    with world.parts.sessions.begin() as session:
        assert machine_tokens.revoke(session, revoked)
        assert not machine_tokens.revoke(session, revoked)
        assert not machine_tokens.revoke(session, 999)
    assert "revoked" in refused(world, first)
    assert shown(world, second).name == "token:second"
    with world.parts.sessions.begin() as session:
        session.execute(update(MachineToken).values(expires_at=now(session)))
    assert "over" in refused(world, second)
    assert "unknown" in refused(world, unknown)
    last = "b" if second[10] == "a" else "a"
    for wrong in (f"{second[:10]}{last}{second[11:]}", second[:-1], second + "a", "sd_", "sd_" + "é" * 49, "sd_'--"):
        assert "malformed" in refused(world, wrong)


def test_its_last_use_is_written_down_once_a_minute(world: World) -> None:
    token, secret = make(world)

    def last_use() -> Any:
        with world.parts.sessions() as session:
            return session.get_one(MachineToken, token).last_used_at

    assert last_use() is None
    shown(world, secret)
    first = last_use()
    shown(world, secret)
    assert last_use() == first is not None
    with world.parts.sessions.begin() as session:
        session.execute(update(MachineToken).values(last_used_at=first - timedelta(seconds=61)))
    shown(world, secret)
    assert last_use() >= first


@pytest.mark.parametrize(
    "wrong",
    [
        {"days": 366},
        {"days": 0},
        {"days": float("nan")},
        {"rights": []},
        {"rights": [Right.ADMIN]},
        {"stage": ""},
        {"stage": "[a-z]"},
        {"stage": "prod\n"},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "n" * 65},
    ],
)
def test_a_token_that_is_not_to_be_is_not_made(world: World, wrong: dict[str, Any]) -> None:
    with pytest.raises(TokenNotMade):
        make(world, **wrong)


def test_tokens_are_listed_the_newest_first(world: World) -> None:
    made = [make(world, name)[0] for name in ("one", "two")]
    with world.parts.sessions() as session:
        rows = machine_tokens.listed(session, world.repository_id)
        assert ([row.id for row in rows], [row.name for row in rows]) == (made[::-1], ["two", "one"])
        assert machine_tokens.listed(session, world.repository_id + 1) == []
        assert rows[0].expires_at - rows[0].created_at == timedelta(days=30)


def test_secrets_are_random_and_carry_a_checksum() -> None:
    made = [new_secret() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(map(is_well_formed, made))
    assert len(Counter("".join(one[4:46] for one in made))) == 62
