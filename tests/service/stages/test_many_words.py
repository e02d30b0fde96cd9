"""Anybody may comment under a pull request of a fork: what was said before is not read again with each new word."""

from sqlalchemy import event, insert

from service.models import Approval, ApprovalState
from service.stages.approvals import JUDGED_AT_ONCE
from tests.service.rows import T0
from tests.service.stages.conftest import House
from tests.service.stages.test_forks import CONFIG, opened


def test_a_thousand_words_of_strangers_are_not_read_again_for_the_next_one(house: House) -> None:
    fork = opened(house, CONFIG)
    said = {"source_id": fork.source, "login": "eve", "user_id": 9, "sha": "a" * 40, "reason": "x", "created_at": T0}
    refused = {**said, "state": ApprovalState.REFUSED}
    with house.parts.sessions.begin() as session:
        session.execute(insert(Approval), [{**refused, "comment_id": number} for number in range(10_000, 11_000)])
    read: list[Approval] = []

    def note(row: Approval, _context: object) -> None:
        read.append(row)

    event.listen(Approval, "load", note)
    try:
        fork.say(f"/deploy {'b' * 40}", login="eve", permission="read")
    finally:
        event.remove(Approval, "load", note)
    assert 0 < len(read) < 3 * JUDGED_AT_ONCE
    fork.say(f"/deploy {fork.head}")
    assert [stage.name for stage in house.stages(fork.source)] == [f"pr-{fork.number}"]


def test_one_stranger_does_not_talk_a_maintainer_down(house: House) -> None:
    fork = opened(house, CONFIG)
    house.github.say(house.repository, fork.number, f"/deploy {fork.head}")
    for _ in range(2 * JUDGED_AT_ONCE):
        house.github.say(house.repository, fork.number, "/deploy", login="eve", permission="read")
    house.hear()
    house.resolve(fork.source)
    assert [stage.name for stage in house.stages(fork.source)] == [f"pr-{fork.number}"]
